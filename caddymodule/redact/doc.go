// Package redact keeps tokens out of Caddy's logs. [Encoder], the log encoder chatgate_redact, removes them from finished lines.
// [AnswerError] answers a failed request that Caddy would log with a token. Tokens are recognized by their look, wherever they
// stand.
package redact

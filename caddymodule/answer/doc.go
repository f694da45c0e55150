// Package answer writes what every HTTP handler of chatgate answers with: JSON, Retry-After, and the operator's log line of a
// failed request. What is in an answer is up to the handler.
package answer

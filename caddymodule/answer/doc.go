// Package answer writes what every HTTP handler of chatgate answers with: JSON, Retry-After, the answer that a contract has to
// an error, and the operator's log line of a failed request. What is in an answer is up to the handler.
package answer

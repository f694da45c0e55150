// Package dialect has what the account dialects over HTTP have in common: the [Dialect] and its routes, the [Call] that goes
// through the pipeline, the decoding of its body, and the answers to errors. A dialect is a value, so that none can change
// the pipeline. Decoding is strict: one object, no member that is repeated or unknown. Every class of error has an answer, and
// an internal error has a constant text.
package dialect

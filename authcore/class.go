package authcore

// Class is what a client can do about an error. Kinds are many and grow; classes are few, and every dialect has an answer
// for each. The number with a class is its usual HTTP status; a contract may differ.
type Class uint8

// The classes. [Classes] lists them all. The zero value is not a class, so that a kind cannot get one by omission.
const (
	ClassInternal     Class = iota + 1 // a fault of ours, which the client can do nothing about (500)
	ClassUnavailable                   // something that the call depends on does not respond; the same call may succeed later (503)
	ClassInvalid                       // the input is malformed or breaks a policy; other input may succeed (400)
	ClassCredentials                   // the caller's claim is not proven: name, password or code are wrong (401)
	ClassToken                         // the token is not valid, or no longer; the caller has to log in again (401)
	ClassBarred                        // the caller is proven, but the account may not be used, or not yet (403)
	ClassRegistration                  // this caller may not create an account, or not without a good invite (403)
	ClassNotFound                      // the requested thing does not exist (404)
	ClassConflict                      // the input is valid, but conflicts with what is stored: a taken name, a missing address (409)
	ClassTooMany                       // the caller tries too often and has to wait (429)

	endOfClasses
)

// Classes returns every class, so that a test can check that a dialect is complete.
func Classes() []Class {
	var cs []Class
	for c := ClassInternal; c < endOfClasses; c++ {
		cs = append(cs, c)
	}
	return cs
}

// Subject is the key of an answer: a [Class], or a [Kind] that a contract names.
type Subject interface{ subject() }

func (Class) subject() {}
func (Kind) subject()  {}

// Answers is a dialect's table of answers to errors. It has every class, unless it only overrides another table.
type Answers[T any] map[Subject]T

// Find returns the answer for a kind, or else for its class, and reports whether the table has one.
func (as Answers[T]) Find(k Kind) (answer T, ok bool) {
	if answer, ok = as[k]; !ok {
		answer, ok = as[k.Class()]
	}
	return answer, ok
}

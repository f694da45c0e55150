package authcore

// Class is what a client can do about an error, which is what a dialect has to tell it. Kinds are many and grow; classes
// are few, and every dialect has an answer for each. The status named with a class is where HTTP has it; a contract may
// differ.
type Class uint8

// The classes. [Classes] lists them all. The zero value is none of them, so that a kind cannot get one by omission.
const (
	ClassInternal     Class = iota + 1 // a fault of ours, which the client can do nothing about (500)
	ClassUnavailable                   // something that the call depends on does not respond; the same call may succeed later (503)
	ClassInvalid                       // the input is malformed or breaks a policy; other input may succeed (400)
	ClassCredentials                   // what the caller claims is not proven: name, password or code are wrong (401)
	ClassToken                         // the token is no longer or never was good; the caller has to log in again (401)
	ClassBarred                        // the caller is who they claim, but the account may not be used, or not yet (403)
	ClassRegistration                  // this caller may not create an account, or not without a good invite (403)
	ClassNotFound                      // what is asked for does not exist (404)
	ClassConflict                      // the input is valid, but at odds with what the store has: a taken name, a missing address (409)
	ClassTooMany                       // the caller tries too often and has to wait (429)

	endOfClasses
)

// Classes returns every class, so that a test can show a dialect to be complete.
func Classes() []Class {
	var cs []Class
	for c := ClassInternal; c < endOfClasses; c++ {
		cs = append(cs, c)
	}
	return cs
}

// Subject is what an answer is for: a [Class], or a [Kind] that a contract names.
type Subject interface{ subject() }

func (Class) subject() {}
func (Kind) subject()  {}

// Answers are what a dialect says for errors. A dialect's table has every class; one that has only what differs from another
// table need not.
type Answers[T any] map[Subject]T

// Find returns the answer for a kind, or else for its class, and reports whether there is one.
func (as Answers[T]) Find(k Kind) (answer T, ok bool) {
	if answer, ok = as[k]; !ok {
		answer, ok = as[k.Class()]
	}
	return answer, ok
}

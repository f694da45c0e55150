package authcore

import "time"

// AccountID is an account's UUID in its canonical text form. It never changes and is never reused.
type AccountID string

// Account is the record of one user.
type Account struct {
	ID           AccountID
	Number       int64 // the numeric id of the rooms contract; unique, assigned by the store, never reused
	Username     Username
	DisplayName  string // free text; empty means the username is shown
	DisplayClash bool   // DisplayName looks like another account's username, so others are told the username; the store decides it
	AvatarURL    string // https URL, or empty
	Bot          bool
	Email        string // for mail; empty if there is none or only its hash is kept
	EmailHash    []byte // keyed hash of the canonical address; nil when there is none
	// EmailConfirmed is set once the owner has proven to read the address. Until then it is a claim: others may claim it,
	// too, and nobody is told of it. At most one account has confirmed an address.
	EmailConfirmed bool
	PasswordHash   PasswordHash
	Disabled       bool
	PhonePending   bool      // it was made with a phone number that is not validated yet
	EmailPending   bool      // likewise for its address
	Epoch          int64     // of its sessions; sessions of an earlier epoch are over. The first is 0
	Kept           SessionID // the one session of an earlier epoch that lives on, if any
	CreatedAt      time.Time // UTC, whole milliseconds
}

// pending returns what keeps an account from being used.
func (a *Account) pending() error {
	switch {
	case a.PhonePending:
		return Errorf(KindUnverifiedPhone, "the phone number is yet to be validated")
	case a.EmailPending:
		return Errorf(KindUnverifiedEmail, "the e-mail address is yet to be validated")
	default:
		return nil
	}
}

// confirmedEmail returns the address if it is proven and known, and else nothing.
func (a *Account) confirmedEmail() string {
	if !a.EmailConfirmed {
		return ""
	}
	return a.Email
}

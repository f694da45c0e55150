package authcore

import (
	"context"
	"time"
)

// Rate is a budget that refills evenly: Burst at once, and Burst again over every Per.
type Rate struct {
	Burst int
	Per   time.Duration
}

// Backoff says how failures slow an account down: the first Free attempts are free, each later one makes the next
// wait twice as long, from Base up to Max. It is a delay, never a lock.
type Backoff struct {
	Free int
	Base time.Duration
	Max  time.Duration
}

func (b Backoff) delay(failures int) time.Duration {
	if failures < b.Free {
		return 0
	}
	doublings := min(failures-b.Free, 62)
	if b.Base > b.Max>>doublings {
		return b.Max
	}
	return b.Base << doublings
}

// LimitClass separates counters that must not push each other out of a bounded store: anybody can invent names and
// addresses, nobody can invent accounts.
type LimitClass string

// The classes.
const (
	LimitAccount LimitClass = "account" // keyed by AccountID
	LimitName    LimitClass = "name"    // keyed by a canonical name that is no account's
	LimitLogin   LimitClass = "login"   // attempts to prove something, by client address
	LimitSignup  LimitClass = "signup"  // new accounts, by client address
	LimitText    LimitClass = "text"    // text messages, by client address
	LimitBudget  LimitClass = "budget"  // totals of the whole service, by a constant name
	LimitClient  LimitClass = "client"  // by client address and one of the others' keys
	LimitTarget  LimitClass = "target"  // messages to, and tries for, a number or address without a known account, by its hash
)

// LimitStore counts attempts. All methods are atomic: of N concurrent callers at most the limit get through.
type LimitStore interface {
	// Take takes one from the budget of a key and returns zero, or takes nothing and returns how long to wait.
	Take(ctx context.Context, class LimitClass, key string, r Rate) (time.Duration, error)

	// Attempt counts an attempt as a failure before its outcome is known and returns zero, or counts nothing and
	// returns how long to wait. A key is forgotten a day after its last attempt.
	Attempt(ctx context.Context, class LimitClass, key string, b Backoff) (time.Duration, error)

	// Forgive takes one counted attempt back, which was never decided.
	Forgive(ctx context.Context, class LimitClass, key string, b Backoff) error

	// Clear forgets the failures of a key, after an attempt succeeded.
	Clear(ctx context.Context, class LimitClass, key string) error
}

func rateLimited(wait time.Duration) *Error {
	return &Error{Kind: KindRateLimited, Msg: "too many attempts; try again later", RetryAfter: wait}
}

// How many codes may be sent to one account, or asked for with one unknown name: three in any ten minutes, and five in
// any hour. A budget refills while it is spent, so it takes that many times as long to refill.
var (
	sendsAtOnce = Rate{Burst: 3, Per: 3 * 10 * time.Minute}
	sendsAnHour = Rate{Burst: 5, Per: 5 * time.Hour}
)

// How many codes may be sent to one address, on behalf of all who claim it: twelve in any two hours. Each client has less,
// so that one cannot use up what others have.
var codesAnAddress = Rate{Burst: 12, Per: 2 * time.Hour}

// takeEmail counts a code that a client has sent to an address, for whichever account. Kinds: RateLimited, Unavailable.
func (s *Service) takeEmail(ctx context.Context, emailHash []byte, c Client) error {
	if err := s.takeSend(ctx, LimitTarget, emailKey(emailHash)+" "+AddrKey(c.Addr)); err != nil {
		return err
	}
	wait, err := query(ctx, "counting a message", func(ctx context.Context) (time.Duration, error) {
		return s.state.options.Limits.Take(ctx, LimitTarget, "codes:"+emailKey(emailHash), codesAnAddress)
	})
	if err == nil && wait > 0 {
		err = rateLimited(wait)
	}
	return err
}

// takeSend counts a message to an account, a name or an address. Kinds: RateLimited, Unavailable.
func (s *Service) takeSend(ctx context.Context, class LimitClass, key string) error {
	for _, budget := range []struct {
		prefix string
		rate   Rate
	}{{"send:", sendsAtOnce}, {"sends:", sendsAnHour}} {
		wait, err := query(ctx, "counting a message", func(ctx context.Context) (time.Duration, error) {
			return s.state.options.Limits.Take(ctx, class, budget.prefix+key, budget.rate)
		})
		if err != nil {
			return err
		}
		if wait > 0 {
			return rateLimited(wait)
		}
	}
	return nil
}

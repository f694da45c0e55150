package authcore

import (
	"context"
	"time"
)

// How wrong codes slow down further tries, over all codes of an account or a number: a new code does not lift the delay,
// the right one does.
var codeBackoff = Backoff{Free: CodeTries, Base: CodeLifetime, Max: 24 * time.Hour}

// trialFloor is the least time that the answer to a failed trial takes, and the answer to a request for a code where
// accounts are not concealed: longer than looking up whom it is about, and longer than most mail servers take.
const trialFloor = 300 * time.Millisecond

// pause waits, and reports false if ctx ended instead.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// trial is one try of a code that was sent. The try was counted with the code when that was looked up.
type trial struct {
	class   LimitClass
	key     string  // tries are counted under it, over all codes
	account Account // the zero value if only the code tells
	client  Client
	wrong   EventKind // what is published of a wrong code

	right func() bool                 // whether the code is the one that was sent
	use   func(context.Context) error // uses the code up for what it is good for
}

// codeTries is the key under which tries of the codes of an account are counted, apart from its logins.
func codeTries(account AccountID) string { return "code:" + string(account) }

// tryCode is the one way to try a code, whatever it is for: it counts the try as a failure, compares, and uses the code
// up. The failures of the key are cleared once the code was of use; one failure is taken back if the code was right but
// could not be used. Kinds: RateLimited, BadCode, Unavailable, and those of use.
func (s *Service) tryCode(ctx context.Context, t trial) error {
	wait, err := query(ctx, "counting a code", func(ctx context.Context) (time.Duration, error) {
		return s.state.options.Limits.Attempt(ctx, t.class, t.key, codeBackoff)
	})
	if err != nil {
		return err
	}
	if wait > 0 {
		err := rateLimited(wait)
		s.publish(failed(EventCodeDelayed, t.account, t.client, err))
		return err
	}
	if !t.right() {
		s.publish(failed(t.wrong, t.account, t.client, errBadCode))
		return errBadCode
	}
	used := t.use(ctx)
	err = exec(context.WithoutCancel(ctx), "forgiving", func(ctx context.Context) error {
		if used == nil {
			return s.state.options.Limits.Clear(ctx, t.class, t.key)
		}
		return s.state.options.Limits.Forgive(ctx, t.class, t.key, codeBackoff)
	})
	if err != nil { // the delays lapse by themselves
		s.state.options.Log.Warn("forgiving a code that was right failed", "account", t.account.ID, "error", err)
	}
	return used
}

// answerTrial waits until floor before a failed trial is answered, and makes every failure a bad code where accounts are
// concealed: the answer to a wrong code must not differ from the answer if no code was sent. What only somebody with the
// right code gets to hear passes as it is.
func (s *Service) answerTrial(ctx context.Context, floor time.Time, err error) error {
	switch KindOf(err) {
	case KindBadCode, KindRateLimited, KindInvalidPhone, KindInvalidEmail:
	default: // does not depend on whether a code was sent, or takes the right one
		return err
	}
	pause(ctx, time.Until(floor))
	if s.policy.Conceal {
		return errBadCode
	}
	return err
}

package authcore

import (
	"context"
	"time"
)

// How wrong codes delay further tries of a client, over all codes of an account or a number: only a right code lifts the
// delay, not a new one.
var codeBackoff = Backoff{Free: CodeTries, Base: CodeLifetime, Max: 24 * time.Hour}

// trialFloor is the minimum time of the answer to a failed trial, and to a request for a code where accounts are not
// concealed: longer than looking up the account, and longer than most mail servers take.
const trialFloor = 300 * time.Millisecond

// pause waits, and returns false if ctx ends before that.
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

// trial is one try of a code that was sent. The look-up of the code has counted the try.
type trial struct {
	class   LimitClass
	key     string  // tries are counted under it, over all codes
	account Account // the zero value if only the code tells
	client  Client
	wrong   EventKind // published after a wrong code

	right func() bool                 // compares the code with the one that was sent
	use   func(context.Context) error // uses the code up, with its effect
}

// codeTries is the key under which tries of the codes of an account are counted, apart from its logins.
func codeTries(account AccountID) string { return "code:" + string(account) }

// tryCode tries a code of any purpose: it counts the try as a failure, compares, and uses the code up. It clears the
// failures of the client once the code was used, and takes one back if the code was right but could not be used. Kinds:
// RateLimited, BadCode, Unavailable, and those of use.
func (s *Service) tryCode(ctx context.Context, t trial) error {
	tries := tally{class: t.class, key: t.key, client: t.client, backoff: codeBackoff}
	if t.account.ID != "" {
		var err error
		if tries.known, err = s.knows(ctx, t.account.ID, t.client); err != nil {
			return err
		}
	}
	wait, err := s.count(ctx, tries)
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
	if err := t.use(ctx); err != nil {
		s.forgive(context.WithoutCancel(ctx), tries.counters()...)
		return err
	}
	if err := s.succeed(context.WithoutCancel(ctx), tries); err != nil { // the delays expire by themselves
		s.state.options.Log.Warn("cannot clear the failures after a right code; its delays expire by themselves", "account", t.account.ID, "error", err)
	}
	return nil
}

// answerTrial waits until floor before it returns a failure, and where accounts are concealed returns every failure as a
// bad code, because a wrong code must get the same answer whether or not a code was sent. Errors that only a right code
// can cause pass unchanged.
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

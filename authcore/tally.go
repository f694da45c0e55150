package authcore

import (
	"context"
	"time"
)

// strangersShare is how many times as many failures as one client all strangers together have before they are delayed.
const strangersShare = 4

// tally is where failures of a client are counted.
type tally struct {
	class   LimitClass // of the target
	key     string     // of the target: an account, a name, a number
	client  Client
	known   bool // to the account
	backoff Backoff
}

// counter is one count of failures.
type counter struct {
	class   LimitClass
	key     string
	backoff Backoff
}

// own is the counter of the client and its target. Nobody else uses it up.
func (t tally) own() counter {
	return counter{LimitClient, clientKey(t.client, t.class, t.key), t.backoff}
}

// counters are the client's own one, and that of all strangers together unless the client is known.
func (t tally) counters() []counter {
	own := t.own()
	if t.known {
		return []counter{own}
	}
	all := t.backoff
	all.Free *= strangersShare
	return []counter{own, {t.class, t.key, all}}
}

// clientKey is the key of what a client does to a target.
func clientKey(c Client, class LimitClass, key string) string {
	return AddrKey(c.Addr) + " " + string(class) + " " + key
}

// count counts a failure in each counter and returns zero, or in none and returns how long to wait. The client's own one
// is first: else whoever is refused by it would lengthen the delay of all. Kinds: Unavailable.
func (s *Service) count(ctx context.Context, t tally) (time.Duration, error) {
	counters := t.counters()
	for i, c := range counters {
		wait, err := query(ctx, "counting an attempt", func(ctx context.Context) (time.Duration, error) {
			return s.state.options.Limits.Attempt(ctx, c.class, c.key, c.backoff)
		})
		if err != nil || wait > 0 {
			s.forgive(context.WithoutCancel(ctx), counters[:i]...)
			return wait, err
		}
	}
	return 0, nil
}

// forgive takes a failure back from counters.
func (s *Service) forgive(ctx context.Context, counters ...counter) {
	for _, c := range counters {
		err := exec(ctx, "forgiving", func(ctx context.Context) error {
			return s.state.options.Limits.Forgive(ctx, c.class, c.key, c.backoff)
		})
		if err != nil {
			s.state.options.Log.Warn("cannot take an attempt back; it counts as a failure", "error", err)
		}
	}
}

// succeed forgets the failures of a client whose attempt was right. Those of strangers stay, but for this attempt, so that
// nobody sees when the owner comes. Kinds: Unavailable.
func (s *Service) succeed(ctx context.Context, t tally) error {
	own := t.own()
	err := exec(ctx, "clearing attempts", func(ctx context.Context) error {
		return s.state.options.Limits.Clear(ctx, own.class, own.key)
	})
	if err == nil {
		s.forgive(ctx, t.counters()[1:]...)
	}
	return err
}

package authcore

import "context"

// attempt is an unproven claim to an account.
type attempt struct {
	account Account    // the zero value if there is no such account
	class   LimitClass // LimitAccount, or LimitName if there is no such account
	key     string     // failures are counted under it
	client  Client
}

func attemptOn(a Account, c Client) attempt {
	return attempt{account: a, class: LimitAccount, key: string(a.ID), client: c}
}

// verifyFunc decides whether an attempt is genuine. An error means that it could not decide.
type verifyFunc func(ctx context.Context, c caller) (right bool, err error)

// proveAttempt proves an attempt, with any kind of proof: it counts the attempt as a failure, calls verify, takes the
// failure back if verify could not decide, and clears the failures if the proof is right. Only a right proof learns that
// the account is disabled; its failures stay. Kinds: RateLimited, UnknownAccount, WrongPassword, AccountDisabled,
// Unavailable.
func (s *Service) proveAttempt(ctx context.Context, at attempt, verify verifyFunc) error {
	known, err := s.knows(ctx, at.account.ID, at.client)
	if err != nil {
		return err
	}
	t := tally{at.class, at.key, at.client, known, s.policy.Backoff}
	wait, decided, err := s.countUndecided(ctx, t)
	if err != nil {
		return err
	}
	if wait > 0 {
		err := rateLimited(wait)
		s.publish(failed(EventLoginDelayed, at.account, at.client, err))
		return err
	}
	defer decided()
	right, err := verify(ctx, caller{addr: at.client.Addr, known: known})
	if err != nil {
		s.forgive(context.WithoutCancel(ctx), t.counters()...)
		return err
	}
	switch {
	case at.class == LimitName:
		err = errNobody
	case !right:
		err = errWrongPassword
	case at.account.Disabled:
		err = Errorf(KindAccountDisabled, "this account is closed")
	}
	if err != nil {
		s.publish(failed(EventLoginFailed, at.account, at.client, err))
		return err
	}
	return s.succeed(ctx, t)
}

// provePassword proves an attempt by a password. rehash reports that the stored hash should be replaced.
func (s *Service) provePassword(ctx context.Context, at attempt, p Password) (rehash bool, err error) {
	err = s.proveAttempt(ctx, at, func(ctx context.Context, c caller) (right bool, err error) {
		right, rehash, err = s.hasher.verify(ctx, c, p, at.account.PasswordHash)
		return right, err
	})
	return rehash && err == nil, err
}

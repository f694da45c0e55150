package authcore

import (
	"context"
	"time"
)

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
type verifyFunc func(ctx context.Context) (right bool, err error)

// proveAttempt proves an attempt, with any kind of proof: it counts the attempt as a failure, calls verify, takes the
// failure back if verify could not decide, and clears the failures if the proof is right. Only a right proof learns that
// the account is disabled; its failures stay. Kinds: RateLimited, UnknownAccount, WrongPassword, AccountDisabled,
// Unavailable.
func (s *Service) proveAttempt(ctx context.Context, at attempt, verify verifyFunc) error {
	wait, err := query(ctx, "counting a login attempt", func(ctx context.Context) (time.Duration, error) {
		return s.state.options.Limits.Attempt(ctx, at.class, at.key, s.policy.Backoff)
	})
	if err != nil {
		return err
	}
	if wait > 0 {
		err := rateLimited(wait)
		s.publish(failed(EventLoginDelayed, at.account, at.client, err))
		return err
	}
	right, err := verify(ctx)
	if err != nil {
		s.forgive(context.WithoutCancel(ctx), at)
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
	return exec(ctx, "clearing login attempts", func(ctx context.Context) error { return s.state.options.Limits.Clear(ctx, at.class, at.key) })
}

// forgive takes an attempt back that was never decided.
func (s *Service) forgive(ctx context.Context, at attempt) {
	err := exec(ctx, "forgiving", func(ctx context.Context) error {
		return s.state.options.Limits.Forgive(ctx, at.class, at.key, s.policy.Backoff)
	})
	if err != nil {
		s.state.options.Log.Warn("cannot take an undecided login attempt back; it counts as a failure", "error", err)
	}
}

// provePassword proves an attempt by a password. rehash reports that the stored hash should be replaced.
func (s *Service) provePassword(ctx context.Context, at attempt, p Password) (rehash bool, err error) {
	err = s.proveAttempt(ctx, at, func(ctx context.Context) (right bool, err error) {
		right, rehash, err = s.hasher.verify(ctx, p, at.account.PasswordHash)
		return right, err
	})
	return rehash && err == nil, err
}

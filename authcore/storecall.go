package authcore

import (
	"context"
	"time"
)

// storePatience bounds one call of a store, so that a client gets an error soon when a store does not answer.
const storePatience = 900 * time.Millisecond

// wholeNow returns the time as stores keep it.
func (s *Service) wholeNow() time.Time { return s.state.options.Now().UTC().Truncate(time.Millisecond) }

// query calls a store for a result. A failure is KindUnavailable, unless the store gave it a kind.
func query[T any](ctx context.Context, what string, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	v, err := call(ctx)
	if err != nil {
		return v, unavailable(what, err)
	}
	return v, nil
}

// exec calls a store without a result.
func exec(ctx context.Context, what string, call func(context.Context) error) error {
	_, err := query(ctx, what, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

func (s *Service) accountByUsername(ctx context.Context, name Username) (Account, error) {
	return query(ctx, "looking up an account", func(ctx context.Context) (Account, error) {
		return s.state.options.Accounts.AccountByUsername(ctx, name)
	})
}

func (s *Service) accountByID(ctx context.Context, id AccountID) (Account, error) {
	return query(ctx, "looking up an account", func(ctx context.Context) (Account, error) {
		return s.state.options.Accounts.AccountByID(ctx, id)
	})
}

func (s *Service) accountByEmailHash(ctx context.Context, hash []byte) (Account, error) {
	return query(ctx, "looking up an account", func(ctx context.Context) (Account, error) {
		return s.state.options.Accounts.AccountByEmailHash(ctx, hash)
	})
}

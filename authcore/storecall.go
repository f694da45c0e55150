package authcore

import (
	"context"
	"time"
)

// storePatience bounds one call of a store, so that a client gets an error soon when a store does not answer.
const storePatience = 900 * time.Millisecond

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

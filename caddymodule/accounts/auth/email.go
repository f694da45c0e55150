package auth

import (
	"context"

	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

func requestEmailCode(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	return dialect.NoContent, c.Service.RequestEmailCode(ctx, c.Actor)
}

// confirmation takes the code only as a string: a number would lose its leading zeros.
type confirmation struct {
	Code string `json:"code"`
}

func confirmEmail(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in confirmation
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.Required("code", in.Code); err != nil {
		return dialect.Reply{}, err
	}
	return dialect.NoContent, c.Service.ConfirmEmail(ctx, c.Actor, in.Code)
}

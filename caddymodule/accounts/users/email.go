package users

import (
	"context"

	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

func requestEmailCode(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	return ok("EMAIL_CODE_SENT"), c.Service.RequestEmailCode(ctx, c.Actor)
}

// confirmation takes the code as [passwordChange] does.
type confirmation struct {
	OTP string `json:"OTP"`
}

func confirmEmail(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in confirmation
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.Required("OTP", in.OTP); err != nil {
		return dialect.Reply{}, err
	}
	return ok("EMAIL_CONFIRMED"), c.Service.ConfirmEmail(ctx, c.Actor, in.OTP)
}

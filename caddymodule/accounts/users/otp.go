package users

import (
	"context"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

type otpRequest struct {
	Username string `json:"username"`
}

// pending is the answer to both steps of a password reset.
type pending struct {
	UserHash string             `json:"userhash"`
	Request  authcore.RequestID `json:"reqid"`
}

func requestOTP(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in otpRequest
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.Required("username", in.Username); err != nil {
		return dialect.Reply{}, err
	}
	p, err := c.Service.RequestReset(ctx, authcore.ResetRequest{ClaimedName: in.Username, Client: c.Client})
	return ok(pending{p.UserHash, p.Request}), err
}

// passwordChange takes the code only as a string: a number would lose its leading zeros.
type passwordChange struct {
	UserHash string `json:"userhash"`
	OTP      string `json:"OTP"`
	Request  string `json:"reqid"`
	Password string `json:"password"`
}

func modifyPassword(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in passwordChange
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.AllRequired("userhash", in.UserHash, "OTP", in.OTP, "reqid", in.Request, "password", in.Password); err != nil {
		return dialect.Reply{}, err
	}
	err := c.Service.ResetPassword(ctx, authcore.PasswordReset{
		UserHash: in.UserHash, Request: authcore.RequestID(in.Request), Code: in.OTP, Password: authcore.NewPassword(in.Password), Client: c.Client,
	})
	return ok(pending{in.UserHash, authcore.RequestID(in.Request)}), err
}

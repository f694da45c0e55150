package methods

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/methods"
)

// accounts makes the account calls of a connection, each under the policy in force at that time.
type accounts struct {
	m      *Methods
	opened *authcore.Service // when the connection was made; for calls that no policy affects
}

func (a accounts) Join(ctx context.Context, r authcore.Registration) (authcore.Grant, error) {
	r.NeedInvite = a.m.needInvite()
	return underPolicy(ctx, a, func(s *authcore.Service) (authcore.Grant, error) { return s.Join(ctx, r) })
}

func (a accounts) Login(ctx context.Context, c authcore.Credentials) (authcore.Grant, error) {
	return underPolicy(ctx, a, func(s *authcore.Service) (authcore.Grant, error) { return s.Login(ctx, c) })
}

func (a accounts) Authenticate(ctx context.Context, t authcore.UnverifiedToken) (authcore.ProvenSession, error) {
	return underPolicy(ctx, a, func(s *authcore.Service) (authcore.ProvenSession, error) { return s.Authenticate(ctx, t) })
}

func (a accounts) Hold(ctx context.Context, p authcore.ProvenSession, c authcore.LiveConn, l *authcore.Lease, untilExpiry bool) error {
	_, err := underPolicy(ctx, a, func(s *authcore.Service) (struct{}, error) { return struct{}{}, s.Hold(ctx, p, c, l, untilExpiry) })
	return err
}

func (a accounts) Logout(ctx context.Context, by authcore.Actor) (authcore.Receipt, error) {
	return underPolicy(ctx, a, func(s *authcore.Service) (authcore.Receipt, error) { return s.Logout(ctx, by) })
}

func (a accounts) LogoutAll(ctx context.Context, by authcore.Actor, account authcore.AccountID, except authcore.SessionID) (authcore.Receipt, error) {
	return underPolicy(ctx, a, func(s *authcore.Service) (authcore.Receipt, error) { return s.LogoutAll(ctx, by, account, except) })
}

func (a accounts) HoldVisitor(c authcore.LiveConn, l *authcore.Lease) error {
	return a.opened.HoldVisitor(c, l)
}

// underPolicy makes a call on the service under the policy in force.
func underPolicy[T any](ctx context.Context, a accounts, call func(*authcore.Service) (T, error)) (T, error) {
	service, done, err := a.m.app.Service(ctx)
	if err != nil {
		var none T
		return none, &authcore.Error{Kind: authcore.KindUnavailable, Err: err, RetryAfter: 5 * time.Second}
	}
	defer done()
	return call(service)
}

// needInvite reports whether registering over a connection of m takes an invite. After a reload, the new configuration decides:
// the endpoint in it that equals m or, without one, all of its endpoints, any of which can demand an invite.
func (m *Methods) needInvite() bool {
	need, any := false, false
	for _, opener := range m.app.Successors() {
		e, ok := opener.(*Methods)
		if !ok {
			continue
		}
		if e.sameAs(m) {
			return m.RequireInvites
		}
		need, any = need || e.RequireInvites, true
	}
	if !any {
		return m.RequireInvites
	}
	return need
}

func (m *Methods) sameAs(other *Methods) bool {
	a, err := json.Marshal(m)
	b, err2 := json.Marshal(other)
	return err == nil && err2 == nil && bytes.Equal(a, b)
}

// Interface guard
var _ methods.Accounts = accounts{}

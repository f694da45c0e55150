package storetest_test

import (
	"bytes"
	"context"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

type codeKey struct {
	account authcore.AccountID
	purpose authcore.CodePurpose
}

var errBadCode = authcore.Errorf(authcore.KindBadCode, "bad code")

func (m *memory) PutCode(ctx context.Context, c authcore.Code) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.ExpiresAt = kept(c.ExpiresAt)
	m.codes[codeKey{c.Account, c.Purpose}] = c
	return nil
}

// code returns the code of a request that has not expired.
func (m *memory) code(p authcore.CodePurpose, request authcore.RequestID, now time.Time) (authcore.Code, error) {
	for _, c := range m.codes {
		if c.Request == request && c.Purpose == p && c.ExpiresAt.UnixMilli() > now.UnixMilli() {
			return c, nil
		}
	}
	return authcore.Code{}, errBadCode
}

func (m *memory) TryCode(ctx context.Context, p authcore.CodePurpose, request authcore.RequestID, now time.Time) (authcore.Code, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return authcore.Code{}, ctx.Err()
	}
	c, err := m.code(p, request, now)
	if err != nil || c.Tries >= authcore.CodeTries {
		return authcore.Code{}, errBadCode
	}
	c.Tries++
	m.codes[codeKey{c.Account, p}] = c
	return c, nil
}

func (m *memory) ResetPassword(ctx context.Context, request authcore.RequestID, code []byte, hash authcore.PasswordHash, now time.Time) (
	got authcore.Account, err error,
) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return got, ctx.Err()
	}
	c, err := m.code(authcore.CodeReset, request, now)
	if err != nil || !bytes.Equal(c.Hash, code) {
		return got, errBadCode
	}
	for i := range m.accounts {
		a := &m.accounts[i]
		switch {
		case a.ID != c.Account:
			continue
		case a.Disabled:
			return got, authcore.Errorf(authcore.KindAccountDisabled, "closed")
		}
		a.PasswordHash, a.Epoch, a.Kept = hash, a.Epoch+1, ""
		delete(m.codes, codeKey{c.Account, c.Purpose})
		return *a, nil
	}
	return got, authcore.Errorf(authcore.KindUnknownAccount, "no such account")
}

func (m *memory) DeleteCodes(ctx context.Context, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for key, c := range m.codes {
		if c.ExpiresAt.UnixMilli() < now.UnixMilli() {
			delete(m.codes, key)
		}
	}
	return nil
}

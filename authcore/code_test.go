package authcore

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// OTP-01, OTP-03: what is no code, not that code, or not any more.
func TestOTP03BadCodes(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		for _, name := range []string{"alice", "bob"} {
			h.join(t, name)
		}
		before := h.store.count("TryCode")
		a, code := h.code(t, "alice")
		b, bobs := h.code(t, "bob")
		if a.Request == b.Request || len(a.Request) != 22 {
			t.Errorf("requests %q and %q", a.Request, b.Request)
		}
		for what, c := range map[string]struct {
			p    PendingReset
			code string
		}{
			"another's request":   {PendingReset{a.UserHash, b.Request}, code},
			"another's user hash": {PendingReset{b.UserHash, a.Request}, code},
			"another's code":      {b, code},
			"another's, too":      {PendingReset{b.UserHash, a.Request}, bobs},
			"no user hash":        {PendingReset{"", a.Request}, code},
			"no request":          {PendingReset{a.UserHash, ""}, code},
			"NUL":                 {PendingReset{a.UserHash, a.Request + "\x00"}, code},
			"a huge request":      {PendingReset{a.UserHash, RequestID(strings.Repeat("x", 1<<20))}, code},
			"bad UTF-8":           {PendingReset{"\xff", "\xff"}, "\xff"},
			"no code":             {a, ""},
			"a digit too few":     {b, bobs[:5]},
			"full width":          {b, string('０'+rune(bobs[0]-'0')) + bobs[1:]},
		} {
			if code == bobs {
				break // once in a million
			}
			start := time.Now()
			wantKind(t, what, h.reset(c.p, c.code, newPassword), KindBadCode)
			want(t, what+": takes", time.Since(start), trialFloor)
		}
		if tried := h.store.count("TryCode") - before; tried > 8 {
			t.Errorf("%d requests were looked up, though some cannot be", tried)
		}
		if h.store.count("ResetPassword") != 0 {
			t.Error("a bad code reached the password")
		}
	})
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		p, code := h.code(t, "alice")
		time.Sleep(time.Until(h.mail.last().At.Add(CodeLifetime)))
		wantKind(t, "expired", h.reset(p, code, newPassword), KindBadCode)
		p, code = h.code(t, "alice")
		time.Sleep(time.Until(h.mail.last().At.Add(CodeLifetime - 1)))
		if err := h.reset(p, code, newPassword); err != nil {
			t.Errorf("just before it expires: %v", err)
		}
	})
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		p1, code1 := h.code(t, "alice")
		p2, code2 := h.code(t, "alice")
		wantKind(t, "an older code", h.reset(p1, code1, newPassword), KindBadCode)
		wantKind(t, "an older code under the newer request", h.reset(p2, wrong(code2), newPassword), KindBadCode)
		if err := h.reset(p2, code2, newPassword); err != nil {
			t.Errorf("the newest: %v", err)
		}
	})
}

// OTP-01: five tries a code, and a delay over all codes that no new code lifts.
func TestOTP01Tries(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		p, code := h.code(t, "alice")
		for range 4 {
			wantKind(t, "wrong", h.reset(p, wrong(code), newPassword), KindBadCode)
		}
		p, code = h.code(t, "alice")
		wantKind(t, "wrong, the fifth", h.reset(p, wrong(code), newPassword), KindBadCode)
		err := h.reset(p, code, newPassword)
		wantKind(t, "right, but too soon", err, KindRateLimited)
		if wait := AsError(err).RetryAfter; wait <= CodeLifetime-time.Minute || wait > CodeLifetime {
			t.Errorf("come back in %s", wait)
		}
		time.Sleep(CodeLifetime)
		p, code = h.code(t, "alice")
		wantKind(t, "wrong, the sixth", h.reset(p, wrong(code), newPassword), KindBadCode)
		wantKind(t, "right, but too soon", h.reset(p, code, newPassword), KindRateLimited)
		must[Grant](t)(h.try(t, "alice", rightPassword)) // the password is another matter
		time.Sleep(2 * CodeLifetime)
		p, code = h.code(t, "alice")
		if err := h.reset(p, code, newPassword); err != nil {
			t.Fatal(err)
		}
		p, code = h.code(t, "alice")
		for range 4 { // which the success made room for
			wantKind(t, "wrong", h.reset(p, wrong(code), newPassword), KindBadCode)
		}
		if err := h.reset(p, code, rightPassword); err != nil {
			t.Errorf("the fifth try: %v", err)
		}
	})
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		p, code := h.code(t, "alice")
		for range 5 {
			wantKind(t, "wrong", h.reset(p, wrong(code), newPassword), KindBadCode)
		}
		time.Sleep(9 * time.Minute)
		wantKind(t, "the sixth try", h.reset(p, code, newPassword), KindBadCode)
	})
}

// OTP-02: of many with the right code exactly one sets the password, and many guesses are no more than five.
func TestOTP02AtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		for round := range 5 {
			p, code := h.code(t, "alice")
			var mu sync.Mutex
			var won []string
			parallel(16, func(i int) {
				password := fmt.Sprintf("Harbour-Violin-%d-%d", round, i)
				switch err := h.reset(p, code, password); KindOf(err) {
				case KindBadCode, KindRateLimited:
				default:
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					won = append(won, password)
					mu.Unlock()
				}
			})
			want(t, "winners", len(won), 1)
			must[Grant](t)(h.try(t, "alice", won[0]))
			time.Sleep(24*time.Hour + time.Second)
		}
		p, code := h.code(t, "alice")
		resets := h.store.count("ResetPassword")
		looked := h.store.count("AccountByID")
		parallel(50, func(int) { _ = h.reset(p, wrong(code), newPassword) })
		want(t, "guesses that were looked at", h.store.count("AccountByID")-looked, CodeTries)
		want(t, "guesses that reached the password", h.store.count("ResetPassword")-resets, 0)
	})
}

// JWT-11, OTP-05: codes are six digits, each as likely as any other, stored as a keyed hash that binds them.
func TestOneTimeCodes(t *testing.T) {
	var digits [codeDigits][10]int
	const n = 20_000
	zeros := 0
	for range n {
		c := string(must[OneTimeCode](t)(newOneTimeCode()))
		if len(c) != codeDigits || strings.Trim(c, "0123456789") != "" {
			t.Fatalf("%q", c)
		}
		if c[0] == '0' {
			zeros++
		}
		for i := range c {
			digits[i][c[i]-'0']++
		}
	}
	for i := range digits {
		for d, got := range digits[i] { // 2000 expected, with a deviation of 42
			if got < 1700 || got > 2300 {
				t.Errorf("digit %d is %d in %d of %d", i, d, got, n)
			}
		}
	}
	h := newHouse(t)
	base := Code{Request: "r", Account: "a", Purpose: CodeReset}
	hash := string(h.state.codeHash(&base, "123456"))
	for what, c := range map[string]Code{
		"request": {"s", "a", CodeReset, nil, 0, time.Time{}}, "account": {"r", "b", CodeReset, nil, 0, time.Time{}}, "purpose": {"r", "a", CodeEmail, nil, 0, time.Time{}},
		"borders": {"ar", "", CodeReset, nil, 0, time.Time{}},
	} {
		want(t, "another "+what, string(h.state.codeHash(&c, "123456")) == hash, false)
	}
	want(t, "another code", string(h.state.codeHash(&base, "123457")) == hash, false)
	want(t, "another key", string(newHouse(t).state.codeHash(&base, "123456")) == hash, false)
	want(t, "the same", string(h.state.codeHash(&base, "123456")) == hash, true)
	if h.UserHash("alice") == newHouse(t).UserHash("alice") || h.UserHash("alice") == h.UserHash("bob") {
		t.Error("user hashes are not keyed, or not of names")
	}
}

// What expired is forgotten.
func TestPurgeCodesAndDevices(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		h.idle()
		h.code(t, "alice")
		h.state.purge(t.Context())
		want(t, "codes and devices", fmt.Sprint(len(h.store.codes), len(h.store.devices[h.store.accounts[0].ID])), "1 1")
		time.Sleep(time.Hour)
		h.state.purge(t.Context())
		want(t, "codes and devices", fmt.Sprint(len(h.store.codes), len(h.store.devices[h.store.accounts[0].ID])), "0 1")
		time.Sleep(keepDevices)
		h.state.purge(t.Context())
		want(t, "devices", len(h.store.devices[h.store.accounts[0].ID]), 0)
	})
}

package authcore

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"
)

// logged has a house write its log to where a test reads it.
func logged(log *bytes.Buffer) setting {
	return func(o *StateOptions, _ *Policy) { o.Log = slog.New(slog.NewJSONHandler(log, nil)) }
}

// lines returns what was logged with a message.
func (h *house) lines(t testing.TB, log *bytes.Buffer, message string) (out []map[string]any) {
	t.Helper()
	h.idle()
	for d := json.NewDecoder(bytes.NewReader(log.Bytes())); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == message {
			out = append(out, line)
		}
	}
	return out
}

// provers are the operations that prove a password. Each is tried on an account that waits for its phone number.
var provers = map[string]func(h *house, t testing.TB, password string) error{
	"login": func(h *house, t testing.TB, password string) error {
		_, err := h.try(t, "alice", password)
		return err
	},
	"registering again": func(h *house, t testing.TB, text string) error {
		return h.RegisterByPhone(t.Context(), asks("alice", password(text)))
	},
}

func TestEveryProofOfAPassword(t *testing.T) {
	t.Parallel()
	for name, prove := range provers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := newHouse(t, logged(&log), func(_ *StateOptions, p *Policy) { p.Backoff = Backoff{Free: 3, Base: time.Minute, Max: time.Hour} })
			h.signUp(t, asks("alice"))
			a := must[Account](t)(h.state.options.Accounts.AccountByUsername(t.Context(), "alice"))

			wantKind(t, "another password", prove(h, t, "wrong-Quarry-71"), KindWrongPassword, KindUsernameTaken)
			failed := h.lines(t, &log, "login failed")
			want(t, "failures logged", len(failed), 1)
			want(t, "the reason", failed[0]["reason"], any("wrong_password"))
			want(t, "of", failed[0]["account"], any(string(a.ID)))

			if err := h.state.options.Accounts.SetDisabled(t.Context(), a.ID, true); err != nil {
				t.Fatal(err)
			}
			wantKind(t, "disabled", prove(h, t, rightPassword), KindAccountDisabled)
			failed = h.lines(t, &log, "login failed")
			want(t, "failures logged", len(failed), 2)
			want(t, "the reason", failed[1]["reason"], any("account_disabled"))
			wantKind(t, "disabled, again", prove(h, t, rightPassword), KindAccountDisabled)

			// Nothing cleared the three failures.
			wantKind(t, "delayed", prove(h, t, rightPassword), KindRateLimited)
			delayed := h.lines(t, &log, "login delayed after failures")
			want(t, "delays logged", len(delayed), 1)
			want(t, "of", delayed[0]["account"], any(string(a.ID)))

			if err := h.state.options.Accounts.SetDisabled(t.Context(), a.ID, false); err != nil {
				t.Fatal(err)
			}
			h.clock.Advance(2 * time.Minute)
			if err := prove(h, t, rightPassword); err != nil {
				wantKind(t, "proven", err, KindUnverifiedPhone)
			}
			wantKind(t, "from the first failure on", prove(h, t, "wrong-Quarry-71"), KindWrongPassword, KindUsernameTaken)
		})
	}
}

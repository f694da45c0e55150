//go:build linux

package nodes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/internal/transcript"
)

// What TestHistory records of things that are used up: an invite with a few uses, a code that chooses a password, and the
// generations of a session's tokens.

type (
	// consumable is an invite or a code, and what was done with it.
	consumable struct {
		what     string
		uses     int // of an invite; a code has one
		left     int // attempts that may still be made
		code     string
		userhash string // of a code
		reqid    string // likewise
		ops      []porcupine.Operation
	}
	// ladder is a session whose tokens are refreshed, also old ones.
	ladder struct {
		tokens []string // as they were obtained
		ops    []porcupine.Operation
	}
	// rung is a refresh, of a generation; climbed is what it gave.
	rung struct {
		from int64
		node int
	}
	climbed struct {
		outcome string
		to      int64
	}
)

const (
	redeem  = "redeem"
	consume = "consume"
)

// stock makes things to use up, while everything is in order.
func (h *history) stock(t *testing.T, c *cluster, invites, codes, ladders int) {
	t.Helper()
	for i := range invites {
		uses := 1 + i%3
		h.consumables = append(h.consumables, &consumable{what: redeem, uses: uses, left: 4 * uses, code: c.invite(t, uses)})
	}
	fresh := make([]*consumable, codes)
	var all sync.WaitGroup
	for i := range fresh {
		all.Go(func() {
			n, name := c.nodes[i%len(c.nodes)], fmt.Sprintf("reset%d", i)
			a := n.call(context.Background(), http.MethodPost, "/users/register", "", map[string]string{
				"username": name, "password": password, "email": name + "@example.com",
			})
			if a.status != http.StatusOK {
				t.Errorf("registering %s: %v", name, a)
				return
			}
			a = n.call(context.Background(), http.MethodPost, "/users/requestotp", "", map[string]string{"username": name})
			var out struct {
				Data struct {
					Message struct{ Userhash, Reqid string }
				}
			}
			if err := json.Unmarshal([]byte(a.body), &out); err != nil || out.Data.Message.Reqid == "" {
				t.Errorf("requestotp of %s: %v", name, a)
				return
			}
			fresh[i] = &consumable{what: consume, uses: 1, left: authcore.CodeTries - 1, userhash: out.Data.Message.Userhash, reqid: out.Data.Message.Reqid}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	sent, err := filepath.Glob(filepath.Join(c.mail, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range fresh {
		for _, file := range sent {
			if code := transcript.MailCode(t, file, fmt.Sprintf("reset%d@example.com", i)); code != "" {
				f.code = code
			}
		}
		if f.code == "" {
			t.Fatalf("no code was sent to the %d-th account", i)
		}
	}
	h.consumables = append(h.consumables, fresh...)
	for range ladders {
		token := c.nodes[0].mustLogin(t, c.user(t))
		h.ladders = append(h.ladders, &ladder{tokens: []string{token}})
	}
}

// invite makes an invite, as an operator does.
func (c *cluster) invite(t *testing.T, uses int) string {
	t.Helper()
	if c.operator == nil {
		db, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: c.dsn})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		limits, err := authcore.NewMemoryLimits(time.Now)
		if err != nil {
			t.Fatal(err)
		}
		st, err := authcore.OpenState(t.Context(), authcore.StateOptions{
			Accounts: db, Sessions: db, Revocations: db, Codes: db, Invites: db, Devices: db, Keys: db, Limits: limits,
			KeyRotate: 30 * 24 * time.Hour, MaxTokens: 400 * 24 * time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.operator, err = authcore.NewService(authcore.ServiceOptions{State: st, Policy: authcore.DefaultPolicy()}); err != nil {
			t.Fatal(err)
		}
	}
	code, _, err := c.operator.CreateInvite(t.Context(), authcore.NewInvite{Uses: uses, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return string(code)
}

// consume tries to use something up.
func (h *history) consume(client, i int) {
	h.mu.Lock()
	c := h.consumables[rand.IntN(len(h.consumables))]
	if c.left == 0 {
		h.mu.Unlock()
		return
	}
	c.left--
	h.mu.Unlock()
	n, serial := h.nodes[i], h.serial.Add(1)
	path, body, refusal := "/invited/register", map[string]string{
		"username": fmt.Sprintf("invited%d", serial), "email": fmt.Sprintf("invited%d@example.com", serial), "password": password,
		"inviteCode": c.code,
	}, "bad_invite"
	if c.what == consume {
		path, body, refusal = "/users/modifypassword", map[string]string{
			"userhash": c.userhash, "reqid": c.reqid, "OTP": c.code, "password": fmt.Sprintf("Quarry-Lantern-%d", serial),
		}, "ERROR_INVALID_OTP"
	}
	call := h.now()
	a := n.call(context.Background(), http.MethodPost, path, "", body)
	ret := h.now()
	outcome := unknown
	switch {
	case a.ok():
		outcome = yes
	case a.status < 500 && strings.Contains(a.body, refusal):
		outcome = no
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	record(&c.ops, client, act{c.what, i}, outcome, call, ret)
}

// used is the model of something with so many uses.
func used(uses int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return uses },
		Step: func(state, _, output any) (bool, any) {
			left := state.(int)
			switch output {
			case yes:
				return left > 0, left - 1
			case no:
				return left == 0, left
			default: // done, or found to be used up; or never done, which is as good as done at the end of time
				return true, max(0, left-1)
			}
		},
		DescribeOperation: describe,
	}
}

// climb refreshes a token of a session: mostly the newest that anybody has, at times one before.
func (h *history) climb(client, i int) {
	h.mu.Lock()
	l := h.ladders[rand.IntN(len(h.ladders))]
	back := 0
	switch dice := rand.IntN(100); {
	case dice < 2:
		back = 2
	case dice < 20:
		back = 1
	}
	token := l.tokens[max(0, len(l.tokens)-1-back)]
	h.mu.Unlock()
	from, err := generation(token)
	if err != nil {
		panic(err)
	}
	call := h.now()
	fresh, a := h.nodes[i].refresh(token)
	ret := h.now()
	got := climbed{outcome: outcome(a)}
	if fresh != "" {
		if got.to, err = generation(fresh); err != nil {
			panic(err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if fresh != "" {
		newest, _ := generation(l.tokens[len(l.tokens)-1])
		if got.to > newest {
			l.tokens = append(l.tokens, fresh)
		}
	}
	if got.outcome == yes {
		call = h.believedSince(i, call)
	}
	op := porcupine.Operation{ClientId: client, Input: rung{from, i}, Output: got, Call: call, Return: ret}
	if got.outcome == unknown {
		op.Return = forever
	}
	l.ops = append(l.ops, op)
}

// generation reads a token.
func generation(token string) (int64, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, fmt.Errorf("%d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, err
	}
	var claims struct {
		Generation int64 `json:"gen"`
	}
	err = json.Unmarshal(raw, &claims)
	return claims.Generation, err
}

// tokensOf is the model of a session's tokens. Its state is the newest generation. A token before the last but one moves
// nothing: it gets another newest one for a minute, and is refused later.
var tokensOf = porcupine.Model{
	Init: func() any { return int64(1) },
	Step: func(state, input, output any) (bool, any) {
		newest, from, got := state.(int64), input.(rung).from, output.(climbed)
		next := newest
		if from == newest {
			next++
		}
		switch got.outcome {
		case yes:
			return got.to == next, next
		case no:
			return from < newest-1, next
		default:
			return true, next
		}
	},
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("refresh of generation %d at %c: %s %d", input.(rung).from, 'A'+input.(rung).node, output.(climbed).outcome, output.(climbed).to)
	},
}

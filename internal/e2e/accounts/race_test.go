//go:build linux

package accounts

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

const (
	racers = 16
	rounds = 50
)

// racer is a client whose request is sent but for its last byte, on a connection that was used before.
type racer interface {
	load(r request)
	fire()
	answer() answer
	close()
}

// request is one that can be made over HTTP or as a method.
type request struct {
	method, path, token string
	body                object

	name string // of the method
	args object
}

// overHTTP is a racer over a connection that is kept alive.
type overHTTP struct {
	t    testing.TB
	conn *gatetest.Raw
	host string
	last string
}

func newHTTP(t testing.TB, g *gatetest.Gateway) *overHTTP {
	h := &overHTTP{t: t, conn: gatetest.Dial(t, g.HTTP), host: g.HTTP}
	h.load(request{method: http.MethodPost, path: "/api/auth/login", body: object{}})
	h.fire()
	if a := h.answer(); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
		t.Fatalf("warming a connection: %v", a)
	}
	return h
}

func (h *overHTTP) load(r request) {
	h.t.Helper()
	body := ""
	if r.body != nil {
		body = r.body.String()
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.path, h.host)
	if r.token != "" {
		head += "Authorization: Bearer " + r.token + "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	all := head + "\r\n" + body
	h.last = all[len(all)-1:]
	h.conn.Send(all[:len(all)-1])
}

func (h *overHTTP) fire() { h.conn.Send(h.last) }

func (h *overHTTP) close() { h.conn.Close() }

func (h *overHTTP) answer() answer {
	h.t.Helper()
	_ = h.conn.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(h.conn.R, nil)
	must(h.t, err)
	defer resp.Body.Close()
	var b strings.Builder
	_, err = bufio.NewReader(resp.Body).WriteTo(&b)
	must(h.t, err)
	return answer{resp.StatusCode, resp.Header, b.String()}
}

// overSocket is a racer over the WebSocket of the methods.
type overSocket struct {
	t    testing.TB
	conn *gatetest.Raw
	last string
	n    int
}

func newSocket(t testing.TB, g *gatetest.Gateway, path string) *overSocket {
	s := &overSocket{t: t, conn: gatetest.Dial(t, g.HTTP)}
	s.conn.Open(g.HTTP, path)
	return s
}

func (s *overSocket) load(r request) {
	s.t.Helper()
	s.n++
	frame := string(gatetest.Text(object{"m": r.name, "r": s.n, "d": r.args}.String()).Encode(true))
	s.last = frame[len(frame)-1:]
	s.conn.Send(frame[:len(frame)-1])
}

func (s *overSocket) fire() { s.conn.Send(s.last) }

func (s *overSocket) close() { s.conn.Close() }

// answer returns the reply, as 200 or, with its error, 400.
func (s *overSocket) answer() answer {
	s.t.Helper()
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(patience))
		f, err := gatetest.ReadFrame(s.conn.R)
		must(s.t, err)
		if f.Op == 9 {
			continue
		}
		var reply struct {
			R   *int    `json:"r"`
			Err *string `json:"err"`
		}
		if f.Op != 1 || json.Unmarshal(f.Payload, &reply) != nil {
			s.t.Fatalf("frame %d: %q", f.Op, f.Payload)
		}
		switch {
		case reply.R == nil: // an event
		case *reply.R != s.n:
			s.t.Fatalf("a reply to %d, want %d", *reply.R, s.n)
		case reply.Err != nil:
			return answer{status: http.StatusBadRequest, body: string(f.Payload)}
		default:
			return answer{status: http.StatusOK, body: string(f.Payload)}
		}
	}
}

// race fires all at once, and returns the answers.
func race(all []racer, requests []request) []answer {
	for i, r := range all {
		r.load(requests[i])
	}
	for _, r := range all {
		r.fire()
	}
	answers := make([]answer, len(all))
	for i, r := range all {
		answers[i] = r.answer()
	}
	return answers
}

// httpRacers are spread over the nodes.
func (d *deployment) httpRacers(t testing.TB) (all []racer) {
	t.Helper()
	for i := range racers {
		all = append(all, newHTTP(t, d.node(i)))
	}
	return all
}

// mixedRacers come half over HTTP and half over WebSockets, half of each at every node.
func (d *deployment) mixedRacers(t testing.TB, socketPath string) (all []racer) {
	t.Helper()
	for i := range racers {
		if i%4 < 2 {
			all = append(all, newHTTP(t, d.node(i)))
		} else {
			all = append(all, newSocket(t, d.node(i), socketPath))
		}
	}
	return all
}

// succeeded counts successes. An answer that is neither that nor a refusal that the test allows fails it.
func succeeded(t testing.TB, answers []answer, refusals ...string) (winners []int) {
	t.Helper()
	for i, a := range answers {
		if a.status >= 200 && a.status < 300 && !strings.Contains(a.body, `"success":false`) {
			winners = append(winners, i)
			continue
		}
		allowed := false
		for _, r := range refusals {
			allowed = allowed || strings.Contains(a.body, r)
		}
		if !allowed {
			t.Fatalf("racer %d: %v", i, a)
		}
	}
	return winners
}

package demo

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestNewRefusesNonsense(t *testing.T) {
	for name, opts := range map[string]Options{
		"header":   {UserHeader: "Remote User"},
		"the same": {UserHeader: "remote-access"},
		"history":  {History: -1},
		"rooms":    {MaxRooms: -1},
		"message":  {MaxMessage: -1},
	} {
		if h, err := New(opts); err == nil {
			h.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRoomNames(t *testing.T) {
	_, srv := start(t, Options{})
	for _, room := range []string{"a", "caf%C3%A9", "two%20words", "a.b", strings.Repeat("x", 64)} {
		_ = dial(t, srv, room, nil).Close()
	}
	for _, room := range []string{strings.Repeat("x", 65), "%FF", "a%00", "a%0Ab", "a%C2%85", "a%2Fb"} {
		if got := refused(t, srv, room); got != http.StatusBadRequest {
			t.Errorf("%q: %d", room, got)
		}
	}
	for _, room := range []string{"", "a/b"} {
		refused(t, srv, room) // however the mux puts it
	}
}

func TestOldestEmptyRoomMakesPlace(t *testing.T) {
	h, srv := start(t, Options{MaxRooms: 2})
	speak := func(room string) *peer {
		p := dial(t, srv, room, writer("alice"))
		p.sees(joins("alice"))
		p.say("in " + room)
		p.sees(said(1, "alice", "in "+room))
		return p
	}
	leave := func(p *peer, empty int) {
		_ = p.Close()
		eventually(t, fmt.Sprint(empty, " rooms empty"), func() bool {
			h.hub.mu.Lock()
			defer h.hub.mu.Unlock()
			return len(h.hub.empty) == empty
		})
	}
	one, two := speak("one"), speak("two")
	if got := refused(t, srv, "three"); got != http.StatusServiceUnavailable {
		t.Errorf("all rooms in use: %d", got)
	}
	leave(two, 1)
	leave(one, 2)
	three := speak("three") // in the place of two, which is empty for longer
	again := dial(t, srv, "one", nil)
	again.sees(said(1, "alice", "in one"))
	if got := refused(t, srv, "two"); got != http.StatusServiceUnavailable {
		t.Errorf("three and one are in use: %d", got)
	}
	leave(three, 1)
	dial(t, srv, "two", writer("bob")).sees(joins("bob")) // and nothing of what was said in it
}

func TestSilentRoomIsNotKept(t *testing.T) {
	h, srv := start(t, Options{})
	_ = dial(t, srv, "lobby", nil).Close()
	eventually(t, "the room is gone", func() bool {
		h.hub.mu.Lock()
		defer h.hub.mu.Unlock()
		return len(h.hub.rooms) == 0 && len(h.hub.empty) == 0
	})
}

func TestSubprotocol(t *testing.T) {
	_, srv := start(t, Options{})
	for offer, want := range map[string]string{"": "", "chat.v1": "chat.v1", "chat.v2, chat.v1": "chat.v1", "other": ""} {
		h := http.Header{}
		if offer != "" {
			h.Set("Sec-WebSocket-Protocol", offer)
		}
		if got := dial(t, srv, "lobby", h).Subprotocol(); got != want {
			t.Errorf("offered %q: chose %q", offer, got)
		}
	}
}

func TestForeignOriginIsTheGatewaysAffair(t *testing.T) {
	_, srv := start(t, Options{})
	dial(t, srv, "lobby", http.Header{"Origin": {"https://elsewhere.example"}})
}

// wrapped is a response writer as some servers have them: no http.Hijacker, only Unwrap.
type wrapped struct{ w http.ResponseWriter }

func (w wrapped) Header() http.Header         { return w.w.Header() }
func (w wrapped) Write(p []byte) (int, error) { return w.w.Write(p) }
func (w wrapped) WriteHeader(status int)      { w.w.WriteHeader(status) }
func (w wrapped) Unwrap() http.ResponseWriter { return w.w }

func TestWriterThatOnlyUnwraps(t *testing.T) {
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	h.times.linger = 50 * time.Millisecond // nobody reads the close frame
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(wrapped{w}, r) }))
	defer srv.Close()
	defer h.Close()
	dial(t, srv, "lobby", writer("alice")).sees(joins("alice"))
}

func TestNoUpgrade(t *testing.T) {
	h, srv := start(t, Options{})
	url := strings.Replace(roomURL(srv, "lobby"), "ws", "http", 1)
	if res, _ := get(t, url); res.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain GET: %d", res.StatusCode)
	}
	h.hub.mu.Lock()
	defer h.hub.mu.Unlock()
	if len(h.hub.rooms) != 0 {
		t.Error("it made a room")
	}
}

func TestPage(t *testing.T) {
	_, srv := start(t, Options{Title: "Tea & <talk>", MaxMessage: 77})
	for path, contentType := range map[string]string{
		"/":                 "text/html; charset=utf-8",
		"/?room=attic":      "text/html; charset=utf-8",
		"/assets/style.css": "text/css; charset=utf-8",
		"/assets/app.js":    "text/javascript; charset=utf-8",
	} {
		res, body := get(t, srv.URL+path)
		if res.StatusCode != http.StatusOK || body == "" {
			t.Errorf("%s: %s", path, res.Status)
		}
		for header, want := range map[string]string{
			"Content-Type": contentType,
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
				"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
		} {
			if got := res.Header.Get(header); got != want {
				t.Errorf("%s: %s: %q", path, header, got)
			}
		}
		for _, inline := range []string{"<style", " style=", " onclick=", "javascript:", "innerHTML"} {
			if strings.Contains(body, inline) {
				t.Errorf("%s: has %q", path, inline)
			}
		}
	}
	_, body := get(t, srv.URL+"/")
	for _, want := range []string{"<title>Tea &amp; &lt;talk&gt;</title>", `data-max="77"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, id := range []string{
		"open-login", "auth-dialog", "auth-username", "auth-secret", "auth-login", "auth-register", "auth-error",
		"logout", "whoami", "status", "log", "composer", "message", "send", "notice",
	} {
		if n := strings.Count(body, `id="`+id+`"`); n != 1 {
			t.Errorf("the page has %d elements #%s", n, id)
		}
	}
	for _, path := range []string{"/index.html", "/assets/", "/assets/index.html", "/page/app.js"} {
		if res, _ := get(t, srv.URL+path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestPageIsNotSentTwice(t *testing.T) {
	_, srv := start(t, Options{})
	res, _ := get(t, srv.URL+"/assets/app.js")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/assets/app.js", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", res.Header.Get("ETag"))
	again, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Body.Close()
	if again.StatusCode != http.StatusNotModified {
		t.Error(again.Status)
	}
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

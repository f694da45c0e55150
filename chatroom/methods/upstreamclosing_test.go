package methods

import (
	"io"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/authtest"
)

// What an upstream does wrong it is told itself, and the client that it was not its fault; what a client does wrong is no
// business of the upstream's. Its own close code reaches the client, which has its time to answer.
func TestUpstreamClosing(t *testing.T) {
	bye := func(payload string) string {
		return string(append([]byte{0x88, byte(len(payload))}, payload...))
	}
	for name, tc := range map[string]struct {
		upstream string // what it sends
		leaves   bool   // and goes
		client   []byte
		told, up int
	}{
		"broken frame":         {upstream: "\x83\x01x", told: 1011, up: 1002},
		"masked":               {upstream: "\x81\x81\x00\x00\x00\x00x", told: 1011, up: 1002},
		"too big":              {upstream: "\x81\x7f\x00\x00\x00\x00\x00\x20\x00\x00", told: 1011, up: 1009},
		"close of one byte":    {upstream: bye("\x03"), told: 1011, up: 1002},
		"close 1005":           {upstream: bye("\x03\xed"), told: 1011, up: 1002},
		"close, not UTF-8":     {upstream: bye("\x03\xe8\xff"), told: 1011, up: 1007},
		"close 1014":           {upstream: bye("\x03\xf6bad"), told: 1014, up: 1014},
		"close 4000":           {upstream: bye("\x0f\xa0kicked"), told: 4000, up: 4000},
		"close 4000, and gone": {upstream: bye("\x0f\xa0kicked"), leaves: true, told: 4000},
		"empty close":          {upstream: bye(""), told: 1001},
		"gone":                 {leaves: true, told: 1001},
		"client's binary":      {client: clientFrame(0x82, ""), told: 1003, up: 1001},
		"client's nonsense":    {client: clientFrame(0x81, "x"), told: 1008, up: 1001},
		"client's own code":    {client: clientFrame(0x88, "\x0f\xa1"), told: 4001, up: 4001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, next := rawChat(t)
			s := newSite(t, authtest.Service(t), Options{Upstream: at, times: defaultTimes})
			c := s.watch()
			c.send(clientFrame(0x81, `{"m":"user_register","r":1,"d":{"username":"alice","password":"`+password+`"}}`))
			u := next()
			u.greets(c)
			_, _ = io.WriteString(u.c, tc.upstream)
			if tc.leaves {
				_ = u.c.Close()
			}
			if tc.client != nil {
				c.send(tc.client)
			}
			c.told(tc.told)
			if tc.client == nil || tc.client[0] != 0x88 {
				c.waits()
				c.send(goodbye)
			}
			c.ended()
			_ = c.c.Close()
			if !tc.leaves {
				u.told(tc.up)
				u.waits() // the server is to hang up first
				_ = u.c.Close()
			}
			eventually(t, "it is gone", func() bool { return s.connections() == 0 })
		})
	}
}

// An upstream that neither answers nor hangs up is not waited for without end; the client does not wait for it at all.
func TestUpstreamWithoutAnswer(t *testing.T) {
	t.Parallel()
	at, next := rawChat(t)
	slow := defaultTimes
	slow.linger = 5 * time.Second
	s := newSite(t, authtest.Service(t), Options{Upstream: at, times: slow})
	c := s.watch()
	c.send(clientFrame(0x81, `{"m":"user_register","r":1,"d":{"username":"alice","password":"`+password+`"}}`))
	u := next()
	u.greets(c)
	authtest.State(s.service).Live().EndAll(t.Context(), 0)
	c.told(1012)
	c.send(goodbye)
	c.ended()
	if s.connections() == 0 {
		t.Error("the client waited for the upstream")
	}
	_ = c.c.Close()
	u.told(1012)
	u.ended()
	eventually(t, "it is gone", func() bool { return s.connections() == 0 })
}

// A session that is ended elsewhere is as little the upstream's business here as behind chatgate_proxy; a logout is what its
// own user said.
func TestUpstreamOfEndedSession(t *testing.T) {
	at, next := rawChat(t)
	s := newSite(t, authtest.Service(t), Options{Upstream: at})
	here, elsewhere := s.dial(), s.dial()
	token := here.token("user_register", "alice")
	u := next()
	elsewhere.send(`{"m":"user_token_auth","r":1,"d":{"token":"` + token + `"}}`)
	elsewhere.next()
	v := next()
	elsewhere.ask(`{"m":"user_logout","r":2}`, `{"r":2,"d":{}}`)
	here.want(loggedOut)
	v.told(1000)
	u.told(1001)
	_, _ = u.c.Close(), v.c.Close()
}

// TestUpstreamsCodeWins: requests that no longer reach an upstream which has said goodbye do not change what its client is
// told.
func TestUpstreamsCodeWins(t *testing.T) {
	at, next := rawChat(t)
	s := newSite(t, authtest.Service(t), Options{Upstream: at, PerAccount: 10_000, UpstreamRate: authcore.Rate{Burst: 1 << 20, Per: time.Minute}})
	first := s.dial()
	token := first.token("user_register", "alice")
	_ = next()
	for range 20 {
		c := s.watch()
		c.send(clientFrame(0x81, `{"m":"user_token_auth","r":1,"d":{"token":"`+token+`"}}`))
		u := next()
		u.greets(c)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for request := clientFrame(0x81, `{"m":"say","r":2}`); ; {
				select {
				case <-stop:
					return
				default:
					c.send(request)
				}
			}
		}()
		for range 20 { // requests are under way
			if _, _, err := u.frame(); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = io.WriteString(u.c, "\x88\x02\x0f\xa0")
		_ = u.c.Close() // with requests that it has not read: a reset
		c.told(4000)
		close(stop)
		<-stopped
		_ = c.c.Close()
	}
}

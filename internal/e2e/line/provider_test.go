package line

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// message is a text message.
type message struct{ To, Text string }

// provider stands for an SMS provider's HTTP interface: it keeps what it is sent, and answers as it is told.
type provider struct {
	addr string
	t    testing.TB

	mu       sync.Mutex
	server   *http.Server
	status   int           // of its answers
	hold     chan struct{} // an answer waits until it is closed; nil: it does not
	messages []message     // that it took
	asked    int           // how often, whatever came of it
	read     map[int]bool  // of messages, by next
}

var smsCode = regexp.MustCompile(`^([0-9]{6}) is your code for chat\.example\.com\.`)

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{t: t, addr: fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t)), status: http.StatusAccepted, read: make(map[int]bool)}
	p.begin()
	t.Cleanup(p.stop)
	return p
}

// begin listens, again after stop.
func (p *provider) begin() {
	p.t.Helper()
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	s := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = s
	go func() { _ = s.Serve(ln) }() // until stop
}

// stop refuses connections from here on.
func (p *provider) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	p.server.Close()
}

func (p *provider) release() {
	if p.hold != nil {
		close(p.hold)
		p.hold = nil
	}
}

// answers says with which status, and whether it never answers at all.
func (p *provider) answers(status int, hold bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	p.status = status
	if hold {
		p.hold = make(chan struct{})
	}
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body map[string]string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost || r.URL.Path != "/send" {
		p.t.Errorf("the provider was asked %s %s: %v", r.Method, r.URL, err)
	}
	p.mu.Lock()
	p.asked++
	status, hold := p.status, p.hold
	if status/100 == 2 && hold == nil {
		p.messages = append(p.messages, message{body["to"], body["text"]})
	}
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.WriteHeader(status)
}

// sent returns the messages so far.
func (p *provider) sent() []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]message(nil), p.messages...)
}

// requests returns how often it was asked.
func (p *provider) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// next is a source of the codes that were sent to a number, each once, the oldest first. A message without a code is
// "none".
func (p *provider) next(t testing.TB, to string) (code string) {
	t.Helper()
	eventually(t, "a text message", func() bool {
		for i, m := range p.sent() {
			p.mu.Lock()
			seen := p.read[i]
			p.mu.Unlock()
			if m.To != to || seen {
				continue
			}
			p.mu.Lock()
			p.read[i] = true
			p.mu.Unlock()
			if c := smsCode.FindStringSubmatch(m.Text); c != nil {
				code = c[1]
			} else {
				code = "none"
			}
			return true
		}
		return false
	})
	return code
}

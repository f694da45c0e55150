package mailer

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	theCode     = "012345"
	theAddress  = "Alice+chat@mail.example.org"
	thePassword = "hunter2 @:/?#"
)

// notice is one with everything that there may be.
func notice(kind authcore.NoticeKind) authcore.Notice {
	return authcore.Notice{
		Kind: kind, To: theAddress, Username: "alice", Code: theCode, Lifetime: 10 * time.Minute, Device: "Firefox on Linux",
		Addr: netip.MustParseAddr("2001:db8::1%eth0"), At: time.Now(),
	}
}

// logbook is what was logged.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// server returns how to reach a server of a test.
func server(t testing.TB, s *smtptest.Server, security Security) *Server {
	t.Helper()
	o, err := ParseURL(s.URL(), security)
	if err != nil {
		t.Fatal(err)
	}
	if s.CAFile != "" {
		raw, err := os.ReadFile(s.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		o.RootCAs = x509.NewCertPool()
		o.RootCAs.AppendCertsFromPEM(raw)
	}
	o.Timeout = 30 * time.Second // a busy machine is no fault
	return &o
}

// start makes a mailer, closes it when the test is over, and sees to it that nothing secret was logged.
func start(t testing.TB, o Options) (*Mailer, *logbook) {
	t.Helper()
	log := new(logbook)
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	if o.From.address == "" {
		o.From = sender(t, "Chat <chat@example.com>")
	}
	if o.Issuer == "" {
		o.Issuer = "https://chat.example.com"
	}
	if o.FirstRetry == 0 {
		o.FirstRetry = time.Millisecond
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = m.Close(ctx)
		for _, secret := range []string{theCode, "lice", thePassword, "hunter2"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q was logged:\n%s", secret, log)
			}
		}
	})
	return m, log
}

func sender(t testing.TB, text string) Sender {
	t.Helper()
	s, err := ParseSender(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to it that %s", what)
		}
	}
}

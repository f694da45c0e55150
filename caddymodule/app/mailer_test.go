package app

import (
	"net/netip"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/mailer"
	"github.com/chatgate/chatgate/internal/smtptest"
)

// counted is a mailer whose figures are the app's.
type counted struct{ *mailer.Mailer }

func (m counted) Stats() MailStats { return MailStats(m.Mailer.Stats()) }

// queued is a mailer with messages on their way to a server that does not answer yet.
func queued(t *testing.T, s *smtptest.Server, messages int) *mailer.Mailer {
	t.Helper()
	server, err := mailer.ParseURL(s.URL(), mailer.Clear)
	if err != nil {
		t.Fatal(err)
	}
	from, err := mailer.ParseSender("chat@example.com")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mailer.New(mailer.Options{Server: &server, From: from, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	mailed.add(counted{m})
	for range messages {
		err := m.Queue(authcore.Notice{
			Kind: authcore.NoticePasswordChanged, To: "alice@example.org", Username: "alice", Addr: netip.MustParseAddr("192.0.2.1"), At: time.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// A mailer that no configuration names any more goes on until its queue is empty.
func TestRetiredMailFinishes(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	release := s.Hold(smtptest.Data)
	r := retirement{patience: time.Hour, last: time.Nanosecond, exit: make(chan struct{})}
	before := mailed.closed
	m := queued(t, s, 3)
	r.add(counted{m})
	for deadline := time.Now().Add(30 * time.Second); m.Queue(authcore.Notice{Kind: authcore.NoticeNewDevice, To: "bob@example.org"}) == nil; {
		if time.Now().After(deadline) {
			t.Fatal("it still takes messages")
		}
		time.Sleep(time.Millisecond)
	}
	release()
	r.all.Wait()
	if got := m.Stats(); got.Sent < 3 || got.Queued != 0 || len(s.Messages()) != int(got.Sent) {
		t.Errorf("%+v, %d arrived", got, len(s.Messages()))
	}
	if got := mailed.closed.Sent - before.Sent; got != m.Stats().Sent {
		t.Errorf("%d were sent, and the figures have grown by %d", m.Stats().Sent, got)
	}
}

// It is hurried when the process is going away, also in its grace.
func TestRetiredMailIsHurried(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	r := retirement{grace: time.Hour, patience: time.Hour, last: time.Hour, exit: make(chan struct{})}
	m := queued(t, s, 3)
	r.add(counted{m})
	r.finish()
	if got := m.Stats(); got != (mailer.Stats{Sent: 3}) {
		t.Errorf("%+v", got)
	}

	defer s.Hold(smtptest.Data)()
	another := retirement{grace: time.Hour, patience: time.Hour, last: time.Nanosecond, exit: make(chan struct{})}
	m = queued(t, s, 3)
	another.add(counted{m})
	another.finish()
	if got := m.Stats(); got != (mailer.Stats{Dropped: 3}) {
		t.Errorf("%+v", got)
	}
}

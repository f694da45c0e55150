package mailer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/faultproxy"
	"github.com/chatgate/chatgate/internal/smtptest"
)

func TestTriesAgain(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	s.Reply(
		smtptest.Reply{Stage: smtptest.Rcpt, Code: 451}, smtptest.Reply{Stage: smtptest.Data, Code: 421}, smtptest.Reply{Stage: smtptest.Data},
		smtptest.Reply{Stage: smtptest.Mail, Code: 454},
	)
	m, log := start(t, Options{Server: server(t, s, Clear)})
	if err := m.Queue(notice(authcore.NoticeResetCode)); err != nil {
		t.Fatal(err)
	}
	s.Wait(t, 1)
	eventually(t, "the queue is empty", func() bool { return m.Stats() == Stats{Sent: 1} })
	if n := s.Reached(smtptest.Mail); n != 5 {
		t.Errorf("it was tried %d times, want 5", n)
	}
	if !strings.Contains(log.String(), "notice=reset-code domain=mail.example.org tries=4") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

func TestTriesNotAgain(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m, log := start(t, Options{Server: server(t, s, Clear)})
	s.Reply(smtptest.Reply{Stage: smtptest.Rcpt, Code: 550, Text: theAddress + " unknown"})
	if err := m.Queue(notice(authcore.NoticeNewDevice)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is given up", func() bool { return m.Stats() == Stats{Failed: 1} })
	if err := m.Queue(notice(authcore.NoticeNewDevice)); err != nil {
		t.Fatal(err)
	}
	s.Wait(t, 1)
	if n := s.Reached(smtptest.Rcpt); n != 2 {
		t.Errorf("%d tries, want 2", n)
	}
	if !strings.Contains(log.String(), "refused") || !strings.Contains(log.String(), "550") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

// A server that is away for a while costs nothing but time.
func TestServerAway(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Security: smtptest.StartTLS})
	proxy := faultproxy.New(t, s.Addr)
	proxy.Cut()
	o := server(t, s, "")
	o.Port = proxy.Addr[strings.LastIndexByte(proxy.Addr, ':')+1:]
	m, _ := start(t, Options{Server: o})
	const messages = 20
	for range messages {
		if err := m.Queue(notice(authcore.NoticePasswordChanged)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "it was tried", func() bool { return proxy.Stats().Refused > messages })
	if got := m.Stats(); got != (Stats{Queued: messages}) {
		t.Errorf("%+v", got)
	}
	if err := m.Send(t.Context(), notice(authcore.NoticeResetCode)); err == nil || !passing(err) {
		t.Errorf("sent to a server that is away: %v", err)
	}
	proxy.Heal()
	s.Wait(t, messages)
	eventually(t, "the queue is empty", func() bool { return m.Stats() == Stats{Sent: messages, Failed: 1} })
}

// A message is given up when it is too old, one with a code when that is good for nothing.
func TestTooOld(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	s.Stop()
	o := server(t, s, Clear)
	var passed atomic.Int64
	m, log := start(t, Options{Server: o, Now: func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }})
	code, long := notice(authcore.NoticeResetCode), notice(authcore.NoticePasswordChanged)
	long.Lifetime = 0
	for _, n := range []authcore.Notice{code, long} {
		if err := m.Queue(n); err != nil {
			t.Fatal(err)
		}
	}
	passed.Store(int64(10*time.Minute + 1))
	eventually(t, "the code is given up", func() bool { return m.Stats() == Stats{Failed: 1, Queued: 1} })
	if !strings.Contains(log.String(), "too old") || strings.Contains(log.String(), `too old" notice=password-changed`) {
		t.Errorf("the log does not tell:\n%s", log)
	}
	passed.Store(int64(time.Hour + 1))
	eventually(t, "the other one as well", func() bool { return m.Stats() == Stats{Failed: 2} })
}

func TestQueueFull(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	release := s.Hold(smtptest.Data)
	m, _ := start(t, Options{Server: server(t, s, Clear), Queue: 5, Workers: 2})
	for range 5 {
		if err := m.Queue(notice(authcore.NoticeResetCode)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three are being sent", func() bool { return s.Reached(smtptest.Data) == 3 })
	if err := m.Queue(notice(authcore.NoticeResetCode)); !errors.Is(err, errFull) {
		t.Errorf("the sixth of five: %v", err)
	}
	if got := m.Stats(); got != (Stats{Queued: 5, Dropped: 1}) {
		t.Errorf("%+v", got)
	}
	if n := s.Reached(smtptest.Data); n != 3 {
		t.Errorf("%d workers, want 2 and one for codes", n)
	}
	release()
	s.Wait(t, 5)
	eventually(t, "the queue is empty", func() bool { return m.Stats() == Stats{Sent: 5, Dropped: 1} })
}

// A code waits for no notice: neither for a place in the queue, nor for a worker, nor for its turn.
func TestCodesFirst(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	release := s.Hold(smtptest.Data)
	m, _ := start(t, Options{Server: server(t, s, Clear), Queue: 8, Workers: 1})
	for range 6 { // three quarters
		if err := m.Queue(notice(authcore.NoticeNewDevice)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Queue(notice(authcore.NoticeNewDevice)); !errors.Is(err, errFull) {
		t.Errorf("the seventh notice: %v", err)
	}
	eventually(t, "one is being sent", func() bool { return s.Reached(smtptest.Data) == 1 })
	place, err := m.Hold()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Queue(notice(authcore.NoticeConfirmCode)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a code is being sent as well", func() bool { return s.Reached(smtptest.Data) == 2 })
	for what, err := range map[string]error{"a code": m.Queue(notice(authcore.NoticeResetCode)), "a place": func() error { _, err := m.Hold(); return err }()} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s, while the last place is held: %v", what, err)
		}
	}
	if err := place.Queue(notice(authcore.NoticeResetCode)); err != nil {
		t.Errorf("in the place that was held: %v", err)
	}
	if err := place.Queue(notice(authcore.NoticeResetCode)); err == nil {
		t.Error("a place was used twice")
	}
	place.Release() // which has nothing to give back
	if _, err := m.Hold(); !errors.Is(err, errFull) {
		t.Errorf("another place: %v", err)
	}
	release()
	var kinds []string
	for _, message := range s.Wait(t, 8) {
		kinds = append(kinds, message.Subject(t))
	}
	if code := slices.IndexFunc(kinds, func(subject string) bool { return strings.HasPrefix(subject, "Your code") }); code > 3 {
		t.Errorf("a code was sent as number %d of %q", code+1, kinds)
	}
	if place, err = m.Hold(); err != nil {
		t.Fatal(err)
	}
	place.Release()
	eventually(t, "every place is free", func() bool { return m.Stats().Queued == 0 })
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := m.Hold(); !errors.Is(err, errClosed) {
		t.Errorf("a place after Close: %v", err)
	}
}

// Close sends what is waiting, also what would have waited longer.
func TestCloseDrains(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	s.Reply(smtptest.Reply{Stage: smtptest.Rcpt, Code: 451})
	m, _ := start(t, Options{Server: server(t, s, Clear), FirstRetry: time.Hour})
	n := notice(authcore.NoticePasswordChanged)
	n.Lifetime = 0
	if err := m.Queue(n); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was tried and put back", func() bool {
		m.queue.mu.Lock()
		defer m.queue.mu.Unlock()
		return s.Reached(smtptest.Rcpt) == 1 && len(m.queue.notices) == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		t.Error(err)
	}
	if got := s.Messages(); len(got) != 1 {
		t.Errorf("%d messages have arrived", len(got))
	}
	if err := m.Queue(n); !errors.Is(err, errClosed) {
		t.Errorf("queued after Close: %v", err)
	}
	if err := m.Send(t.Context(), n); !errors.Is(err, errClosed) {
		t.Errorf("sent after Close: %v", err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// Close ends when its time is over, whatever the server does, and counts what is lost.
func TestCloseGivesUp(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	defer s.Hold(smtptest.Data)()
	m, _ := start(t, Options{Server: server(t, s, Clear), Workers: 2})
	for range 5 {
		if err := m.Queue(notice(authcore.NoticeNewDevice)); err != nil {
			t.Fatal(err)
		}
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		if err := m.Send(context.Background(), notice(authcore.NoticeResetCode)); !errors.Is(err, context.Canceled) {
			t.Errorf("sent, though nobody answered, or not ended by Close: %v", err)
		}
	})
	eventually(t, "three are being sent", func() bool { return s.Reached(smtptest.Data) == 3 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Close(ctx); err == nil || !strings.Contains(err.Error(), "3 messages") {
		t.Errorf("%v", err)
	}
	sending.Wait()
	if got := m.Stats(); got != (Stats{Failed: 1, Dropped: 5}) {
		t.Errorf("%+v", got)
	}
}

// Send stops when its caller does.
func TestSendStops(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	defer s.Hold(smtptest.Data)()
	m, _ := start(t, Options{Server: server(t, s, Clear)})
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() { sent <- m.Send(ctx, notice(authcore.NoticeResetCode)) }()
	eventually(t, "it is being sent", func() bool { return s.Reached(smtptest.Data) == 1 })
	cancel()
	if err := <-sent; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m, _ := start(t, Options{Server: server(t, s, Clear)})
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			deliver := m.Queue
			if i%2 == 0 {
				deliver = func(n authcore.Notice) error { return m.Send(t.Context(), n) }
			}
			if err := deliver(notice(authcore.NoticeResetCode)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := m.Stats(); got != (Stats{Sent: 60}) || len(s.Messages()) != 60 {
		t.Errorf("%+v, %d arrived", got, len(s.Messages()))
	}
}

func TestDelaysGrow(t *testing.T) {
	now := time.Now()
	q := newQueue(1, 24*time.Hour, 5*time.Second, func() time.Time { return now })
	if err := q.add(envelope{}, authcore.Notice{}, false); err != nil {
		t.Fatal(err)
	}
	for _, most := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		j, ok := q.take(t.Context(), false)
		if !ok {
			t.Fatal("it is not due")
		}
		wait, ok := q.again(j)
		if most *= time.Second; !ok || wait > most || wait < most*3/4 {
			t.Errorf("after %d tries: %s, want %s or a little less", j.tries, wait, most)
		}
		now = now.Add(wait)
	}
}

func TestWritesFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub", "mail")
	m, _ := start(t, Options{Dir: dir})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made before there was a message: %v", err)
	}
	for _, kind := range authcore.NoticeKinds() {
		if err := m.Send(t.Context(), notice(kind)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(authcore.NoticeKinds()) {
		t.Fatalf("%v, %v", files, err)
	}
	for i, kind := range authcore.NoticeKinds() {
		info, err := files[i].Info()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(info.Name(), kind.String()) || !strings.HasSuffix(info.Name(), ".eml") || info.Mode().Perm() != 0o600 {
			t.Errorf("%s, %v", info.Name(), info.Mode())
		}
		raw, err := os.ReadFile(filepath.Join(dir, info.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got := (smtptest.Message{Raw: raw}); !strings.Contains(got.Text(t), "alice") || got.Header(t).Get("To") != "<"+theAddress+">" {
			t.Errorf("%s", raw)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// A directory that cannot be made is a failure that may pass.
	file := filepath.Join(dir, files[0].Name())
	m, _ = start(t, Options{Dir: filepath.Join(file, "x")})
	if err := m.Send(t.Context(), notice(authcore.NoticeResetCode)); err == nil || !passing(err) {
		t.Errorf("%v", err)
	}
}

package authcore

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// eventLine is the log line of a kind. A kind without a message is not logged.
type eventLine struct {
	name    string
	level   slog.Level
	message string
	keys    string // of [Event.attr], in this order; one that ends in ? is left out if the event does not know it
}

// eventLines has the log line of every kind.
var eventLines = [numEvents]eventLine{
	EventAccountRegistered:   {"account-registered", slog.LevelInfo, "account registered", "account username dialect client_ip"},
	EventAccountDisabled:     {"account-disabled", slog.LevelInfo, "account disabled", "account dialect? client_ip?"},
	EventLogin:               {"login", slog.LevelInfo, "login", "account session dialect client_ip"},
	EventLoginFailed:         {"login-failed", slog.LevelInfo, "login failed", "reason account dialect client_ip"},
	EventLoginDelayed:        {"login-delayed", slog.LevelWarn, "login delayed after failures", "account dialect client_ip wait"},
	EventTokenRefreshed:      {name: "token-refreshed"},
	EventTokenTheft:          {"token-theft", slog.LevelWarn, "another client used a superseded token for a refresh; ending its session", "account session dialect client_ip"},
	EventTokenRefused:        {"token-refused", slog.LevelInfo, "refused a superseded token for a refresh", "account session dialect client_ip"},
	EventSessionsEnded:       {"sessions-ended", slog.LevelInfo, "sessions ended", "account sessions connections nodes took dialect? client_ip?"},
	EventDisconnected:        {name: "disconnected"},
	EventResetCodeSent:       {"reset-code-sent", slog.LevelInfo, "code sent", "account dialect client_ip"},
	EventResetCodeUnsent:     {"reset-code-unsent", slog.LevelError, "a code could not be sent", "account error"},
	EventEmailCodeSent:       {name: "email-code-sent"},
	EventEmailCodeUnsent:     {"email-code-unsent", slog.LevelError, "a code could not be sent", "account error"},
	EventPhoneCodeSent:       {"phone-code-sent", slog.LevelInfo, "text sent", "account dialect client_ip"},
	EventWrongCode:           {"wrong-code", slog.LevelWarn, "a wrong code was tried", "account dialect client_ip"},
	EventWrongPhoneCode:      {"wrong-phone-code", slog.LevelWarn, "a wrong code for a number was tried", "dialect client_ip"},
	EventWrongEmailCode:      {"wrong-email-code", slog.LevelWarn, "a wrong code for an address was tried", "dialect client_ip"},
	EventCodeDelayed:         {"code-delayed", slog.LevelWarn, "a code was delayed after failures", "account? dialect client_ip wait"},
	EventPasswordReset:       {"password-reset", slog.LevelInfo, "password reset", "account dialect client_ip"},
	EventPhoneValidated:      {"phone-validated", slog.LevelInfo, "phone number validated", "account dialect client_ip"},
	EventEmailValidated:      {"email-validated", slog.LevelInfo, "e-mail address validated", "account dialect client_ip"},
	EventProfileChanged:      {name: "profile-changed"},
	EventInviteCreated:       {"invite-created", slog.LevelInfo, "invite made", "invite uses expires dialect? client_ip?"},
	EventRegistrationsLapsed: {"registrations-lapsed", slog.LevelInfo, "deleted accounts that were never validated", "count"},
}

// untoldLine is the line for ended sessions when the other nodes could not be told.
var untoldLine = eventLine{"", slog.LevelError, "a revocation could not be told to the other nodes; will try again", "account error dialect? client_ip?"}

// line returns the log line of an event.
func (e *Event) line() *eventLine {
	if e.Kind == EventSessionsEnded && e.Err != nil {
		return &untoldLine
	}
	return &eventLines[e.Kind]
}

// attr returns the log attribute of an event for a key.
func (e *Event) attr(key string) slog.Attr {
	switch key {
	case "account":
		return slog.Any(key, e.Account)
	case "client_ip":
		return slog.Any(key, e.Client.Addr)
	case "connections":
		return slog.Int(key, e.Receipt.Closed)
	case "count":
		return slog.Int(key, e.Count)
	case "dialect":
		return slog.String(key, e.Client.Dialect)
	case "error":
		return slog.Any(key, e.Err)
	case "expires":
		return slog.Time(key, e.Invite.ExpiresAt)
	case "invite":
		return slog.Any(key, e.Invite.ID)
	case "nodes":
		return slog.Any(key, e.Receipt.Nodes)
	case "reason":
		return slog.String(key, KindOf(e.Err).String())
	case "session":
		return slog.Any(key, e.Session)
	case "sessions":
		return slog.Int(key, e.Receipt.Sessions)
	case "took":
		return slog.Duration(key, e.Receipt.Took)
	case "username":
		return slog.Any(key, e.Username)
	case "uses":
		return slog.Int(key, e.Invite.Uses)
	case "wait":
		return slog.Duration(key, AsError(e.Err).RetryAfter)
	}
	panic("authcore: an event has no " + key)
}

// knows reports whether an event has a value for an optional key.
func (e *Event) knows(key string) bool {
	switch key {
	case "account":
		return e.Account != ""
	case "client_ip":
		return e.Client.Addr.IsValid()
	case "dialect":
		return e.Client.Dialect != ""
	}
	return true
}

// maxEventLog bounds the events that wait for the log.
const maxEventLog = 4096

// eventLog writes the log lines of events in their order, in the background: a log that cannot be written to must not
// hold up a login. It drops and counts events beyond maxEventLog.
type eventLog struct {
	log *slog.Logger

	mu      sync.Mutex
	waiting []Event
	written chan struct{} // closed when no event waits any more; nil if none does
	dropped uint64
}

// take implements [Subscriber].
func (l *eventLog) take(e Event) {
	if e.line().message == "" || !l.log.Enabled(context.Background(), e.level()) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= maxEventLog {
		l.dropped++
		return
	}
	l.waiting = append(l.waiting, e)
	if l.written == nil {
		l.written = make(chan struct{})
		go l.write()
	}
}

// write runs until no event waits.
func (l *eventLog) write() {
	for {
		l.mu.Lock()
		batch := l.waiting
		l.waiting = nil
		if len(batch) == 0 {
			close(l.written)
			l.written = nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		for i := range batch {
			batch[i].writeTo(l.log.Handler())
		}
	}
}

// flush returns when no event waits, or when ctx ends.
func (l *eventLog) flush(ctx context.Context) {
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	if written == nil {
		return
	}
	select {
	case <-written:
	case <-ctx.Done():
	}
}

// drops returns how many events were dropped.
func (l *eventLog) drops() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

func (e *Event) level() slog.Level {
	if e.Kind == EventSessionsEnded && e.Err == nil && !e.Receipt.Complete() {
		return slog.LevelWarn
	}
	return e.line().level
}

// writeTo writes the line of an event, with the time at which it happened.
func (e *Event) writeTo(h slog.Handler) {
	line := e.line()
	r := slog.NewRecord(e.At, e.level(), line.message, 0)
	for key := range strings.FieldsSeq(line.keys) {
		key, optional := strings.CutSuffix(key, "?")
		if optional && !e.knows(key) {
			continue
		}
		r.AddAttrs(e.attr(key))
	}
	_ = h.Handle(context.Background(), r) // nobody is left to tell
}

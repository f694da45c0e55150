package authcore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// events is a subscriber that keeps what it is told.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (es *events) take(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.all = append(es.all, e)
}

// last returns the latest event of a kind.
func (es *events) last(k EventKind) (Event, bool) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for _, e := range slices.Backward(es.all) {
		if e.Kind == k {
			return e, true
		}
	}
	return Event{}, false
}

// happening is what publishes a kind, and what its event is to say beside the dialect.
type happening struct {
	publish func(h *house, t *testing.T)
	says    string // of: account, session, by (the owner of the account), err
}

// happen has the happening of every kind.
var happen = [numEvents]happening{
	EventAccountRegistered: {func(h *house, t *testing.T) { h.register(t, "alice") }, "account by"},
	EventAccountDisabled: {func(h *house, t *testing.T) {
		must[Receipt](t)(h.Disable(t.Context(), operator, h.register(t, "alice").ID))
	}, "account"},
	EventLogin: {func(h *house, t *testing.T) { h.person(t, "alice") }, "account session by"},
	EventLoginFailed: {func(h *house, t *testing.T) {
		h.register(t, "alice")
		_, _ = h.try(t, "alice", "Wrong-"+rightPassword)
	}, "account err"},
	EventLoginDelayed: {func(h *house, t *testing.T) {
		h.register(t, "alice")
		for range h.policy.Backoff.Free + 1 {
			_, _ = h.try(t, "alice", "Wrong-"+rightPassword)
		}
	}, "account err"},
	EventTokenRefreshed: {func(h *house, t *testing.T) { must[Grant](t)(h.refresh(h.person(t, "alice"), 0)) }, "account session by"},
	EventTokenTheft: {func(h *house, t *testing.T) {
		g := h.person(t, "alice")
		must[Grant](t)(h.refresh(must[Grant](t)(h.refresh(g, 0)), 0))
		time.Sleep(supersededGrace)
		_, _ = h.steal(g)
	}, "account session"},
	EventTokenRefused: {func(h *house, t *testing.T) {
		g := h.person(t, "alice")
		must[Grant](t)(h.refresh(must[Grant](t)(h.refresh(g, 0)), 0))
		time.Sleep(supersededGrace)
		_, _ = h.refresh(g, 0)
	}, "account session err"},
	EventSessionsEnded: {func(h *house, t *testing.T) {
		must[Receipt](t)(h.Logout(t.Context(), as(h.person(t, "alice").Proven.Identity)))
	}, "account session by"},
	EventDisconnected: {func(h *house, t *testing.T) {
		want(t, "disconnecting", h.Disconnect(t.Context(), as(h.person(t, "alice").Proven.Identity)), nil)
	}, "account session by"},
	EventResetCodeSent: {func(h *house, t *testing.T) { h.join(t, "alice"); h.code(t, "alice") }, "account"},
	EventResetCodeUnsent: {func(h *house, t *testing.T) {
		h.join(t, "alice")
		h.mail.set(func() { h.mail.broken = errStore })
		_, _ = h.requestReset("alice")
	}, "account err"},
	EventEmailCodeSent: {func(h *house, t *testing.T) { h.signUp(t, asks("alice", email("alice@example.com"))) }, "account"},
	EventEmailCodeUnsent: {func(h *house, t *testing.T) {
		h.mail.set(func() { h.mail.broken = errStore })
		r := joining("alice")
		r.ClaimedEmail = "alice@example.com"
		must[Grant](t)(h.Join(t.Context(), r))
	}, "account err"},
	EventPhoneCodeSent:  {func(h *house, t *testing.T) { h.signUp(t, asks("alice")) }, "account"},
	EventWrongCode:      {func(h *house, t *testing.T) { tryWrong(h, t, "setting a password", 1) }, "account err"},
	EventWrongPhoneCode: {func(h *house, t *testing.T) { tryWrong(h, t, "validating a number", 1) }, "err"},
	EventWrongEmailCode: {func(h *house, t *testing.T) { tryWrong(h, t, "validating an address", 1) }, "err"},
	EventCodeDelayed: {func(h *house, t *testing.T) {
		tryWrong(h, t, "setting a password", CodeTries)
		tryWrong(h, t, "setting a password", 1)
	}, "account err"},
	EventPasswordReset: {func(h *house, t *testing.T) {
		h.join(t, "alice")
		p, code := h.code(t, "alice")
		want(t, "a reset", h.reset(p, code, newPassword), nil)
	}, "account by"},
	EventPhoneValidated: {func(h *house, t *testing.T) {
		h.signUp(t, asks("alice"))
		code, _ := h.texted(t)
		want(t, "a validation", h.validate(t, theNumber, code), nil)
	}, "account by"},
	EventEmailValidated: {func(h *house, t *testing.T) {
		h.signUp(t, asks("alice", email("alice@example.com")))
		want(t, "a validation", h.confirm(t, "alice@example.com", string(h.mail.last().Code)), nil)
	}, "account by"},
	EventProfileChanged: {func(h *house, t *testing.T) {
		name := "Alice"
		must[Account](t)(h.UpdateProfile(t.Context(), as(h.person(t, "alice").Proven.Identity), ProfileChange{DisplayName: &name}))
	}, "account session by"},
	EventInviteCreated: {func(h *house, t *testing.T) {
		_, _, err := h.CreateInvite(t.Context(), NewInvite{1, time.Hour, "", operator})
		want(t, "an invite", err, nil)
	}, ""},
	EventRegistrationsLapsed: {func(h *house, t *testing.T) {
		h.signUp(t, asks("alice"))
		time.Sleep(keepUnvalidated + CodeLifetime)
		h.state.purge(t.Context())
	}, ""},
}

// said returns what an event says, in the words of a happening.
func said(e Event) string {
	var words []string
	for _, w := range []struct {
		word string
		said bool
	}{{"account", e.Account != ""}, {"session", e.Session != ""}, {"by", e.By != "" && e.By == e.Account}, {"err", e.Err != nil}} {
		if w.said {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, " ")
}

// unlogged has the kinds that are published for subscribers only.
var unlogged = []EventKind{EventTokenRefreshed, EventDisconnected, EventEmailCodeSent, EventProfileChanged}

func tryWrong(h *house, t *testing.T, what string, times int) {
	if _, err := h.state.options.Accounts.AccountByUsername(t.Context(), "alice"); err != nil {
		h.join(t, "alice")
	}
	code, try := codeTrials[what](h, t)
	for range times {
		_ = try(wrongCode(code))
	}
}

// Every kind is published by something, says what happened to whom, by whom, in which dialect and with which result, and
// has a log line of its own unless it is listed as unlogged.
func TestEveryEvent(t *testing.T) {
	names := make(map[string]bool)
	for _, k := range EventKinds() {
		t.Run(k.String(), func(t *testing.T) {
			if k.String() == "" || names[k.String()] {
				t.Fatal("not a name of its own")
			}
			names[k.String()] = true
			happening := happen[k]
			if happening.publish == nil {
				t.Fatal("nothing publishes it")
			}
			var log bytes.Buffer
			saw := new(events)
			bubble(t, func(t *testing.T, h *house) {
				happening.publish(h, t)
				e, ok := saw.last(k)
				if !ok {
					t.Fatal("it was not published")
				}
				want(t, "at", e.At.IsZero(), false)
				want(t, "the invite's hash", len(e.Invite.Hash), 0)
				want(t, "says", said(e), happening.says)
				if k == EventRegistrationsLapsed { // by itself
					want(t, "count", e.Count, 1)
				} else {
					want(t, "dialect", e.Client.Dialect != "", true)
				}
				if slices.Contains(unlogged, k) {
					want(t, "message", eventLines[k].message, "")
					return
				}
				line := h.lines(t, &log, eventLines[k].message)
				if len(line) == 0 || eventLines[k].message == "" {
					t.Fatal("it was not logged")
				}
			}, logged(&log), func(o *StateOptions, _ *Policy) { o.Subscribers = []Subscriber{saw.take} })
		})
	}
	want(t, "beyond", numEvents.String(), "unknown")
}

// An event says who brought it about: the owner of the account, or somebody else.
func TestEventBy(t *testing.T) {
	t.Parallel()
	saw := new(events)
	h := newHouse(t, func(o *StateOptions, _ *Policy) { o.Subscribers = []Subscriber{saw.take} })
	for name, end := range map[string]struct {
		by func(h *house, g Grant) error
		is func(g Grant) AccountID
	}{
		"the owner": {func(h *house, g Grant) error { _, err := h.Logout(t.Context(), as(g.Proven.Identity)); return err }, func(g Grant) AccountID { return g.Account.ID }},
		"an operator": {func(h *house, g Grant) error {
			_, err := h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)
			return err
		}, func(Grant) AccountID { return "" }},
	} {
		g := h.join(t, "alice"+name[:1])
		want(t, name, end.by(h, g), nil)
		e, _ := saw.last(EventSessionsEnded)
		want(t, name+": by", e.By, end.is(g))
		want(t, name+": session", e.Session, g.Session.ID)
		want(t, name+": account", e.Account, g.Account.ID)
		want(t, name+": ended", e.Receipt.Sessions, 1)
		e, _ = saw.last(EventLogin)
		want(t, name+": login from", e.Client, client)
	}
}

// A logout that the other nodes could not be told of is published all the same, with what failed, and logged as an error.
func TestEventOfUntoldLogout(t *testing.T) {
	var log bytes.Buffer
	saw := new(events)
	h := newHouse(t, logged(&log), func(o *StateOptions, _ *Policy) {
		o.Subscribers, o.Feed = []Subscriber{saw.take}, brokenFeed{}
		o.FeedGrace, o.LiveGrace = time.Hour, time.Hour
	})
	g := h.join(t, "alice")
	_, err := h.Logout(t.Context(), as(g.Proven.Identity))
	wantKind(t, "a logout", err, KindUnavailable)
	e, ok := saw.last(EventSessionsEnded)
	want(t, "published", ok, true)
	want(t, "says", said(e), "account session by err")
	want(t, "from", e.Client, client)
	line := h.lines(t, &log, untoldLine.message)
	want(t, "logged", len(line), 1)
	wantKind(t, "showing as offline", h.Disconnect(t.Context(), as(g.Proven.Identity)), KindUnavailable)
	e, _ = saw.last(EventDisconnected)
	want(t, "says", said(e), "account session by err")
}

// brokenFeed is a feed that nothing can be published on.
type brokenFeed struct{ Feed }

func (brokenFeed) Publish(context.Context, NodeEvent) ([]NodeReceipt, error) { return nil, errStore }

// stuckLog is a log that takes nothing until it is freed.
type stuckLog struct {
	slog.Handler
	free chan struct{}
}

func (l stuckLog) Handle(context.Context, slog.Record) error { <-l.free; return errStore }

// A log that cannot be written to holds nobody up. What does not fit is counted.
func TestStuckLog(t *testing.T) {
	log := stuckLog{slog.NewTextHandler(bytes.NewBuffer(nil), nil), make(chan struct{})}
	saw := new(events)
	h := newHouse(t, func(o *StateOptions, _ *Policy) {
		o.Log, o.Subscribers = slog.New(log), []Subscriber{saw.take}
	})
	g := h.person(t, "alice")
	for range 2*maxEventLog + 100 {
		h.publish(g.event(EventLogin, client))
	}
	h.login(t, "alice")
	if n := h.state.Stats().Dropped; n < 100 || n > maxEventLog+200 {
		t.Errorf("%d events were dropped", n)
	}
	saw.mu.Lock()
	want(t, "others hear", len(saw.all) > 2*maxEventLog+100, true)
	saw.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	h.state.idle(ctx) // which does not wait for ever
	close(log.free)
	h.idle()
	dropped := h.state.Stats().Dropped
	h.login(t, "alice")
	want(t, "dropped later", h.state.Stats().Dropped-dropped, 0)
	h.idle()
}

// Background tasks that cannot log their failure hold up neither those who start more of them nor the shutdown.
func TestStuckWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := stuckLog{slog.NewTextHandler(bytes.NewBuffer(nil), nil), make(chan struct{})}
		h := newHouse(t, func(o *StateOptions, _ *Policy) { o.Log = slog.New(log) })
		for range maxWorkers + 10 {
			h.state.background(t.Context(), "failing", func(context.Context) error { return errors.New("no") })
		}
		want(t, "dropped", h.state.Stats().Dropped, 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h.state.idle(ctx)
		close(log.free)
		h.idle()
		h.state.background(t.Context(), "working", func(context.Context) error { return nil })
		h.idle()
		want(t, "dropped later", h.state.Stats().Dropped, 10)
	})
}

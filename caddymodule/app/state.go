package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
)

// states holds every state in use, by the identity of its stores: two states over one database with embedded sessions
// would not hear of each other's logouts. A configuration holds a reference from Provision until Cleanup and the end of
// its last request, and every live connection holds one for its life: so a reload with the same stores opens and closes
// nothing, and one with others leaves the old ones open until the last connection that hangs on them is gone.
var states = caddy.NewUsagePool()

// stateHolder is a place in the pool. It is empty until open.
type stateHolder struct {
	stores stores

	configs int // that name these stores; guarded by inUse

	mu    sync.Mutex
	state *authcore.State
	close func() error // ends the work of the state and closes its stores
}

// tuning is what a configuration may change of a state that is open.
type tuning struct{ keyRotation, feedGrace, liveGrace time.Duration }

func takeState(s stores) (*stateHolder, error) {
	h, _, err := states.LoadOrNew(s.key, func() (caddy.Destructor, error) { return &stateHolder{stores: s}, nil })
	if err != nil {
		return nil, err
	}
	return h.(*stateHolder), nil
}

// inUse guards the configs of all holders.
var inUse sync.Mutex

// use notes that a configuration names these stores, and, with false, that it is gone.
func (h *stateHolder) use(named bool) {
	inUse.Lock()
	defer inUse.Unlock()
	if named {
		h.configs++
	} else {
		h.configs--
	}
}

// leftBehind returns the live connections of the states whose sessions no configuration knows any more: no logout can
// reach them. A state with other options over the same sessions is not left behind; the feed tells it of every logout.
func leftBehind() []*authcore.Live {
	inUse.Lock()
	defer inUse.Unlock()
	places := make(map[string]bool)
	states.Range(func(_, h any) bool {
		if holder := h.(*stateHolder); holder.configs > 0 {
			places[holder.stores.place] = true
		}
		return true
	})
	return liveOf(func(h *stateHolder) bool { return !places[h.stores.place] })
}

// retain adds a reference to a holder that the caller has one to.
func (h *stateHolder) retain() { states.LoadOrStore(h.stores.key, h) }

func (h *stateHolder) release() error {
	_, err := states.Delete(h.stores.key)
	return err
}

// open returns the state. The first to ask opens the stores and begins their maintenance.
func (h *stateHolder) open(ctx context.Context, t tuning) (*authcore.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == nil {
		if err := h.openLocked(context.WithoutCancel(ctx), t); err != nil {
			return nil, err
		}
	}
	h.state.SetKeyRotation(t.keyRotation)
	h.state.SetGraces(t.feedGrace, t.liveGrace)
	return h.state, nil
}

func (h *stateHolder) openLocked(ctx context.Context, t tuning) (err error) {
	var opened []func() error
	closeStores := func() error {
		var errs []error
		for _, closeStore := range slices.Backward(opened) {
			errs = append(errs, closeStore())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			_ = closeStores() // the reason why opening failed is the one to tell
		}
	}()
	// No limit is set here: bringing a large database up to date takes its time.
	db, err := h.stores.accounts.Open(ctx)
	name := h.stores.accounts.Identity().Name
	if err != nil {
		return oneLine{fmt.Errorf("opening the accounts' database (%s): %w", name, err)}
	}
	opened = append(opened, db.Close)
	for _, w := range db.Warnings {
		slog.New(ProcessLog{}).Warn(w)
	}

	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ss, err := h.stores.sessions.Open(ctx, db)
	if err != nil {
		return oneLine{fmt.Errorf("opening the sessions' %s: %w", h.stores.sessions.Identity().Name, err)}
	}
	if ss.Close != nil {
		opened = append(opened, ss.Close)
	}
	state, err := authcore.OpenState(ctx, authcore.StateOptions{
		Accounts: db.Accounts, Revocations: db.Revocations, Codes: db.Codes, Invites: db.Invites, Phones: db.Phones,
		Devices: db.Devices, Keys: db.Keys,
		Sessions: ss.Sessions, Limits: ss.Limits, Feed: ss.Feed, Presence: ss.Presence,
		FeedGrace: t.feedGrace, LiveGrace: t.liveGrace,
		KeyRotate: t.keyRotation, MaxTokens: MaxTokens, Subscribers: []authcore.Subscriber{observeRevocation}, Log: slog.New(ProcessLog{}),
	})
	if err != nil {
		return oneLine{fmt.Errorf("reading the keys in the accounts' database (%s): %w", name, err)}
	}
	run, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		state.Run(run)
	}()
	measured.add(state)
	h.state = state
	h.close = func() error {
		stop()
		<-done
		measured.remove(state)
		return closeStores()
	}
	return nil
}

// oneLine is an error whose text has no line breaks: what Caddy reports when it cannot start is one line for each.
type oneLine struct{ err error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.err.Error()), " ") }

func (e oneLine) Unwrap() error { return e.err }

// liveOf returns the live connections of this process, by state, of the states that which says.
func liveOf(which func(*stateHolder) bool) []*authcore.Live {
	var all []*authcore.Live
	states.Range(func(_, h any) bool {
		holder := h.(*stateHolder)
		holder.mu.Lock()
		defer holder.mu.Unlock()
		if holder.state != nil && which(holder) {
			all = append(all, holder.state.Live())
		}
		return true
	})
	return all
}

// Destruct implements caddy.Destructor: the last reference is gone.
func (h *stateHolder) Destruct() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == nil {
		return nil
	}
	forget(h.state)
	h.state = nil
	return h.close()
}

package caddymodule

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// states holds every state in use, by the path of its database: two states over one would not hear of each other's
// logouts. A configuration holds a reference from Provision until Cleanup and the end of its last request, and every
// live connection holds one for its life: so a reload with the same stores opens and closes nothing, and one with
// others leaves the old ones open until the last connection that hangs on them is gone.
var states = caddy.NewUsagePool()

// stateHolder is a place in the pool. It is empty until open.
type stateHolder struct {
	path string

	mu    sync.Mutex
	state *authcore.State
	store *sqlstore.Store
	stop  context.CancelFunc
	done  chan struct{}
}

func takeState(path string) (*stateHolder, error) {
	h, _, err := states.LoadOrNew(path, func() (caddy.Destructor, error) { return &stateHolder{path: path}, nil })
	if err != nil {
		return nil, err
	}
	return h.(*stateHolder), nil
}

// retain adds a reference to a holder that the caller has one to.
func (h *stateHolder) retain() { states.LoadOrStore(h.path, h) }

func (h *stateHolder) release() error {
	_, err := states.Delete(h.path)
	return err
}

// open returns the state. The first to ask opens the stores and begins their maintenance.
func (h *stateHolder) open(ctx context.Context, keyRotation time.Duration) (*authcore.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == nil {
		if err := h.openLocked(ctx, keyRotation); err != nil {
			return nil, err
		}
	}
	h.state.SetKeyRotation(keyRotation)
	return h.state, nil
}

func (h *stateHolder) openLocked(ctx context.Context, keyRotation time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	store, err := sqlstore.OpenSQLite(ctx, h.path)
	if err != nil {
		return fmt.Errorf("opening the accounts' database: %w", err)
	}
	limits, err := authcore.NewMemoryLimits(time.Now)
	if err != nil {
		return err
	}
	state, err := authcore.OpenState(ctx, authcore.StateOptions{
		Accounts: store, Sessions: store, Keys: store, Limits: limits,
		KeyRotate: keyRotation, MaxTokens: maxTokens, Log: slog.New(processLog{}),
	})
	if err != nil {
		_ = store.Close()
		return fmt.Errorf("opening the accounts' database %s: %w", h.path, err)
	}
	run, stop := context.WithCancel(context.Background())
	h.state, h.store, h.stop, h.done = state, store, stop, make(chan struct{})
	go func() {
		defer close(h.done)
		state.Run(run)
	}()
	return nil
}

// liveOfAllStates returns the live connections of this process, by state.
func liveOfAllStates() []*authcore.Live {
	var all []*authcore.Live
	states.Range(func(_, h any) bool {
		holder := h.(*stateHolder)
		holder.mu.Lock()
		defer holder.mu.Unlock()
		if holder.state != nil {
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
	h.stop()
	<-h.done
	h.state = nil
	return h.store.Close()
}

// processLog writes to whatever Caddy's default logger is at the time: a state outlives the configuration, and so the
// logger, that it was made under.
type processLog struct{ attrs []slog.Attr }

func (processLog) current() slog.Handler {
	return zapslog.NewHandler(caddy.Log().Named("chatgate").Core(), zapslog.WithName("chatgate"))
}

func (l processLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.current().Enabled(ctx, level)
}

func (l processLog) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(l.attrs...)
	return l.current().Handle(ctx, r)
}

func (l processLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return processLog{append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)}
}

func (l processLog) WithGroup(string) slog.Handler { return l } // nothing of ours groups

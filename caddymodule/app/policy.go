package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
)

// Connections outlive the configuration that they were opened under, and what an operator decided holds for them, too: so
// whoever asks a configuration for its operations gets those of the newest one that has started, over the same stores.
var (
	inChargeMu sync.Mutex
	inCharge   []*App // that have started and not ended, in no particular order
	newest     atomic.Pointer[App]

	generations atomic.Uint64
)

// takeCharge makes the policy of a the one in force.
func (a *App) takeCharge() {
	inChargeMu.Lock()
	defer inChargeMu.Unlock()
	inCharge = append(inCharge, a)
	findNewest()
}

// resign is the end of a. If a newer configuration failed to start, the policy in force is again the one before it.
func (a *App) resign() {
	inChargeMu.Lock()
	defer inChargeMu.Unlock()
	inCharge = slices.DeleteFunc(inCharge, func(b *App) bool { return a == b })
	findNewest()
}

func findNewest() {
	var n *App
	for _, a := range inCharge {
		if n == nil || a.generation > n.generation {
			n = a
		}
	}
	newest.Store(n)
}

// successor returns the configuration in force, if that is a later one than a. An earlier one has nothing to say to a: apps
// start in no particular order, so a request can be here before a itself has started.
func (a *App) successor() *App {
	if n := newest.Load(); n != nil && n.generation > a.generation {
		return n
	}
	return nil
}

// Enlist notes a handler whose connections outlive the configuration. It is called while that is provisioned.
func (a *App) Enlist(handler caddy.Module) { a.openers = append(a.openers, handler) }

// Successors returns the handlers that the configuration in force has enlisted, if that is a later one than a.
func (a *App) Successors() []caddy.Module {
	if n := a.successor(); n != nil {
		return n.openers
	}
	return nil
}

// over returns the operations under the policy of a, over the stores that a connection of an earlier configuration hangs
// on. It returns none if a has ended.
func (a *App) over(ctx context.Context, h *stateHolder) (service *authcore.Service, done func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == 0 {
		return nil, nil, nil
	}
	a.users++
	if service, err = a.overLocked(ctx, h); err != nil {
		return nil, nil, errors.Join(err, a.leaveLocked())
	}
	return service, a.leave, nil
}

func (a *App) overLocked(ctx context.Context, h *stateHolder) (*authcore.Service, error) {
	if err := a.openLocked(ctx); err != nil {
		return nil, err
	}
	if h == a.holder {
		return a.service, nil
	}
	st, err := h.open(ctx, a.tuning())
	if err != nil {
		return nil, err
	}
	if s, ok := a.others.Load(st); ok {
		return s.(*authcore.Service), nil
	}
	s, err := a.newService(st)
	if err != nil {
		return nil, err
	}
	a.others.Store(st, s)
	return s, nil
}

// forget lets go of a state that is being closed, so that nothing of it stays with the configuration in force. Nobody asks
// for operations over it any more: whoever could has let go of its holder.
func forget(st *authcore.State) {
	inChargeMu.Lock()
	defer inChargeMu.Unlock()
	for _, a := range inCharge {
		a.others.Delete(st)
	}
}

// newService returns the operations over a state, under the policy of a.
func (a *App) newService(st *authcore.State) (*authcore.Service, error) {
	m, err := a.mailer.open()
	if err != nil {
		return nil, err
	}
	t, err := a.texting()
	if err != nil {
		return nil, err
	}
	return authcore.NewService(authcore.ServiceOptions{State: st, Policy: a.policy, Mailer: m, Texter: t})
}

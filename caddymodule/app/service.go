package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
)

// Service returns the operations under the policy in force, which is that of a later configuration once one has started,
// for a request that calls done when it is over. It opens the stores if need be: apps start in no particular order, so a
// request can be here before Start. It can also be here after Cleanup, which a reload does not put off for requests; so
// the stores stay open until done.
func (a *App) Service(ctx context.Context) (service *authcore.Service, done func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == 0 {
		if err := a.take(); err != nil {
			return nil, nil, err
		}
		a.service = nil
		a.others.Clear()
	}
	a.users++
	for n := a.successor(); n != nil; n = a.successor() {
		service, done, err := n.over(ctx, a.holder)
		if err != nil {
			return nil, nil, errors.Join(err, a.leaveLocked())
		}
		if service != nil {
			return service, func() { done(); a.leave() }, nil
		}
	}
	if err := a.openLocked(ctx); err != nil {
		return nil, nil, errors.Join(err, a.leaveLocked())
	}
	return a.service, a.leave, nil
}

func (a *App) openLocked(ctx context.Context) error {
	if a.service != nil {
		return nil
	}
	st, err := a.holder.open(ctx, a.tuning())
	if err != nil {
		return err
	}
	service, err := a.newService(st)
	if err != nil {
		return err
	}
	if a.invite.code != "" {
		if _, err := service.EnsureInvite(context.WithoutCancel(ctx), a.invite.code, a.invite.new); err != nil {
			return fmt.Errorf("making the first invite: %w", err)
		}
	}
	a.service = service
	return nil
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

func (a *App) tuning() tuning {
	return tuning{
		keyRotation: time.Duration(a.KeyRotation),
		feedGrace:   time.Duration(a.FeedGrace),
		liveGrace:   time.Duration(a.LiveGrace),
	}
}

// leave is the end of one user of the stores.
func (a *App) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.leaveLocked(); err != nil {
		a.logger.Error("closing the stores", zap.Error(err))
	}
}

func (a *App) leaveLocked() error {
	if a.users--; a.users > 0 {
		return nil
	}
	a.closeTexts()
	return errors.Join(a.holder.release(), a.mailer.release()) // in this order: what ends with the state may still queue
}

// Hold keeps the stores open until release, for a connection that outlives its request and this configuration. Call it
// before the request is done with [App.Service].
func (a *App) Hold() (release func()) {
	a.mu.Lock()
	holder := a.holder
	holder.retain()
	a.mu.Unlock()
	return func() {
		if err := holder.release(); err != nil {
			caddy.Log().Named("chatgate").Error("closing the stores", zap.Error(err))
		}
	}
}

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

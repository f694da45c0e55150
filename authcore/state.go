package authcore

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// StateOptions are what a [State] is made of. All fields but Log and Now are required.
type StateOptions struct {
	Accounts  AccountStore
	Sessions  SessionStore
	Keys      KeyStore
	Limits    LimitStore
	KeyRotate time.Duration // age at which the signing key is replaced
	MaxTokens time.Duration // the longest that any token can be valid: retired keys verify for so long
	Log       *slog.Logger
	Now       func() time.Time
}

// State is everything behind the services over one set of stores: it is shared by all configurations that name those
// stores, and outlives each of them.
type State struct {
	StateOptions
	keyring  *Keyring
	live     *Live
	emailKey []byte
}

// How often the maintenance of a [State] runs.
const (
	touchEvery = 30 * time.Second
	purgeEvery = time.Hour
)

// OpenState reads or makes the keys.
func OpenState(ctx context.Context, o StateOptions) (*State, error) {
	if o.Accounts == nil || o.Sessions == nil || o.Keys == nil || o.Limits == nil {
		return nil, errors.New("authcore: a state needs stores and limits")
	}
	if o.KeyRotate <= 0 || o.MaxTokens <= 0 {
		return nil, errors.New("authcore: a state needs a positive key rotation age and token lifetime")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	st := &State{StateOptions: o, keyring: NewKeyring(o.Keys, o.KeyRotate, o.Now), live: NewLive(o.Now)}
	if err := st.keyring.Refresh(ctx, o.MaxTokens); err != nil {
		return nil, err
	}
	var err error
	st.emailKey, err = sharedSecret(ctx, o.Keys, KeyEmailHash, o.Now())
	return st, err
}

// Live returns the live connections.
func (st *State) Live() *Live { return st.live }

// SetKeyRotation changes the age at which the signing key is replaced, from the next time that it is looked at.
func (st *State) SetKeyRotation(age time.Duration) { st.keyring.rotate.Store(int64(age)) }

// Run does what falls due until ctx ends: it writes back when sessions were used, forgets those that are over, and
// rotates keys. Before it returns it writes back once more.
func (st *State) Run(ctx context.Context) {
	touch := time.NewTicker(touchEvery)
	defer touch.Stop()
	purge := time.NewTicker(purgeEvery)
	defer purge.Stop()
	for {
		select {
		case <-touch.C:
			st.flush(ctx)
		case <-purge.C:
			st.flush(ctx) // or a session goes that was idle for all that the store knows
			if n, err := st.Sessions.DeleteExpired(ctx, st.Now()); err != nil {
				st.Log.Error("forgetting ended sessions failed; will try again", "error", err)
			} else if n > 0 {
				st.Log.Info("forgot ended sessions", "count", n)
			}
			if err := st.keyring.Refresh(ctx, st.MaxTokens); err != nil {
				st.Log.Error("rotating the signing keys failed; will try again", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			st.flush(last)
			return
		}
	}
}

func (st *State) flush(ctx context.Context) {
	touches := st.live.touches()
	if len(touches) == 0 {
		return
	}
	if err := st.Sessions.TouchSessions(ctx, touches); err != nil {
		// What was lost here shortens an idle time by half a minute; the next use makes up for it.
		st.Log.Warn("recording the use of sessions failed", "sessions", len(touches), "error", err)
	}
}

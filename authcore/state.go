package authcore

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// StateOptions are what a [State] is made of.
type StateOptions struct {
	Accounts    AccountStore
	Sessions    SessionStore
	Revocations RevocationStore
	Codes       CodeStore
	Invites     InviteStore
	Phones      PhoneStore // nil: Accounts, where that is one; else there are no accounts with phone numbers
	Devices     DeviceStore
	Keys        KeyStore
	Limits      LimitStore

	Feed     Feed          // nil: no other process uses the stores
	Presence PresenceStore // nil likewise
	// How long what this process knows of a session is believed while the others cannot be heard; and how long
	// connections stay then. Required with a Feed.
	FeedGrace, LiveGrace time.Duration

	KeyRotate time.Duration // age at which the signing key is replaced
	MaxTokens time.Duration // the longest that any token can be valid: retired keys verify for so long

	Subscribers []Subscriber     // are told of every event that is published here, after the log
	Log         *slog.Logger     // nil: none
	Now         func() time.Time // nil: the system's
}

// State is everything behind the services over one set of stores: it is shared by all configurations that name those
// stores, and outlives each of them.
type State struct {
	options  StateOptions
	keyring  *keyring
	live     *Live
	emailKey []byte
	userKey  []byte
	codeKey  []byte
	phoneKey []byte
	workers  chan struct{} // has an element for each task in the background
	events   eventLog
	dropped  atomic.Uint64 // tasks

	doubts chan struct{} // has an element after a Reset, until its sessions are looked up again

	mu      sync.Mutex
	unheard []NodeEvent // revocations that the session store or the other processes could not be told of yet
}

// How often the maintenance of a [State] runs.
const (
	touchEvery    = 30 * time.Second
	purgeEvery    = time.Hour
	syncEvery     = time.Second      // what concerns other processes
	phonesEvery   = time.Minute      // a record that knows both a number and an account is not to be there for long
	presenceEvery = 10 * time.Minute // the whole of it; a PresenceStore keeps it three times as long
	keepDevices   = 400 * 24 * time.Hour
)

// OpenState reads or makes the keys.
func OpenState(ctx context.Context, o StateOptions) (*State, error) {
	if o.Accounts == nil || o.Sessions == nil || o.Revocations == nil || o.Codes == nil || o.Invites == nil ||
		o.Devices == nil || o.Keys == nil || o.Limits == nil {
		return nil, errors.New("authcore: a state needs stores and limits")
	}
	if o.KeyRotate <= 0 || o.MaxTokens <= 0 || o.Feed != nil && (o.FeedGrace <= 0 || o.LiveGrace <= 0) {
		return nil, errors.New("authcore: a state needs a positive key rotation age and token lifetime, and with a feed also graces")
	}
	if o.Phones == nil {
		o.Phones, _ = o.Accounts.(PhoneStore)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	st := &State{
		options: o, keyring: newKeyring(o.Keys, o.KeyRotate, o.Now), live: newLive(o.Now), doubts: make(chan struct{}, 1),
		workers: make(chan struct{}, maxWorkers), events: eventLog{log: o.Log},
	}
	st.live.followed, st.live.presence = o.Feed != nil, o.Presence != nil
	st.SetGraces(o.FeedGrace, o.LiveGrace)
	made, err := st.keyring.refresh(ctx, o.MaxTokens)
	if err != nil {
		return nil, err
	}
	if made {
		st.publishKeys(ctx)
	}
	for _, of := range []struct {
		purpose KeyPurpose
		key     *[]byte
	}{{KeyEmailHash, &st.emailKey}, {KeyUserHash, &st.userKey}, {KeyCodeHash, &st.codeKey}, {KeyPhoneHash, &st.phoneKey}} {
		if *of.key, err = sharedSecret(ctx, o.Keys, of.purpose, o.Now()); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// maxWorkers bounds how many tasks run in the background.
const maxWorkers = 64

// background runs what nobody waits for. It drops, counts and logs tasks beyond maxWorkers.
func (st *State) background(ctx context.Context, what string, do func(context.Context) error) {
	select {
	case st.workers <- struct{}{}:
	default:
		st.dropped.Add(1)
		st.options.Log.Warn("dropped, since too much runs in the background", "task", what)
		return
	}
	go func() {
		defer func() { <-st.workers }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := do(ctx); err != nil {
			st.options.Log.Warn("a task in the background failed", "task", what, "error", err)
		}
	}()
}

// idle waits until nothing runs in the background. It waits for the log no longer than ctx.
func (st *State) idle(ctx context.Context) {
	for range maxWorkers {
		st.workers <- struct{}{}
	}
	for range maxWorkers {
		<-st.workers
	}
	st.events.flush(ctx)
}

// Live returns the live connections.
func (st *State) Live() *Live { return st.live }

// SetKeyRotation changes the age at which the signing key is replaced, from the next time that it is looked at.
func (st *State) SetKeyRotation(age time.Duration) { st.keyring.rotate.Store(int64(age)) }

// SetGraces changes FeedGrace and LiveGrace.
func (st *State) SetGraces(feed, live time.Duration) {
	st.live.grace.Store(int64(feed))
	st.live.outlive.Store(int64(live))
}

// Stats are figures of a [State], for metrics.
type Stats struct {
	Connections int // live ones
	Sessions    int // known ones
	CacheHits   uint64
	CacheMisses uint64        // looks at a session that asked the stores, or waited for one that did
	FeedLag     time.Duration // since everything that other processes published was last known to be applied
	FeedBroken  bool          // that is longer ago than FeedGrace
	Dropped     uint64        // events that were not logged, and tasks in the background, since too many waited
}

// Stats returns them as they are now.
func (st *State) Stats() Stats {
	l := st.live
	s := Stats{Connections: l.Connections(), Sessions: l.Sessions(), CacheHits: l.hits.Load(), CacheMisses: l.misses.Load(), Dropped: st.events.drops() + st.dropped.Load()}
	if l.followed {
		now := l.now().Sub(l.born)
		s.FeedLag, s.FeedBroken = max(now-time.Duration(l.fresh.Load()), 0), !l.heard(now)
	}
	return s
}

// Run does what falls due until ctx ends: it hears what other processes ended, writes back when sessions were used,
// forgets those that are over, and rotates keys. Before it returns it writes back once more.
func (st *State) Run(ctx context.Context) {
	var others sync.WaitGroup
	defer others.Wait()
	if st.options.Feed != nil {
		others.Go(func() { st.options.Feed.Follow(ctx, follower{st}) })
		others.Go(func() { st.recheck(ctx) })
	}
	others.Go(func() { st.syncNodes(ctx) })
	touch := time.NewTicker(touchEvery)
	defer touch.Stop()
	purge := time.NewTicker(purgeEvery)
	defer purge.Stop()
	phones := time.NewTicker(phonesEvery)
	defer phones.Stop()
	for {
		select {
		case <-phones.C:
			st.forgetPhones(ctx)
		case <-touch.C:
			st.flush(ctx)
		case <-purge.C:
			st.flush(ctx) // or a session goes that was idle for all that the store knows
			st.purge(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			st.flush(last)
			st.idle(last)
			return
		}
	}
}

func (st *State) flush(ctx context.Context) {
	touches := st.live.touches()
	if len(touches) == 0 {
		return
	}
	if err := st.options.Sessions.TouchSessions(ctx, touches); err != nil {
		// What was lost here shortens an idle time by half a minute; the next use makes up for it.
		st.options.Log.Warn("recording the use of sessions failed", "sessions", len(touches), "error", err)
	}
}

func (st *State) purge(ctx context.Context) {
	if n, err := st.options.Sessions.DeleteExpired(ctx, st.options.Now()); err != nil {
		st.options.Log.Error("forgetting ended sessions failed; will try again", "error", err)
	} else if n > 0 {
		st.options.Log.Info("forgot ended sessions", "count", n)
	}
	if err := st.options.Revocations.DeleteRevocations(ctx, st.options.Now()); err != nil {
		st.options.Log.Error("forgetting old revocations failed; will try again", "error", err)
	}
	if err := errors.Join(st.options.Codes.DeleteCodes(ctx, st.options.Now()), st.options.Devices.DeleteDevices(ctx, st.options.Now().Add(-keepDevices))); err != nil {
		st.options.Log.Error("forgetting old codes and devices failed; will try again", "error", err)
	}
	st.deleteUnvalidated(ctx)
	switch made, err := st.keyring.refresh(ctx, st.options.MaxTokens); {
	case err != nil:
		st.options.Log.Error("rotating the signing keys failed; will try again", "error", err)
	case made:
		st.publishKeys(ctx)
	}
}

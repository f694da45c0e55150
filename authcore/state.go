package authcore

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// StateOptions configure a [State].
type StateOptions struct {
	Accounts    AccountStore
	Sessions    SessionStore
	Revocations RevocationStore
	Codes       CodeStore
	Invites     InviteStore
	Phones      PhoneStore // nil: Accounts, if it is a PhoneStore; else there are no accounts with phone numbers
	Devices     DeviceStore
	Networks    NetworkStore // nil: Accounts, if it is a NetworkStore; else every client is a stranger
	Keys        KeyStore
	Limits      LimitStore

	Feed     Feed          // nil: no other process uses the stores
	Presence PresenceStore // likewise
	// While the feed is silent: how long cached sessions are trusted, and how long connections stay. Required with a Feed.
	FeedGrace, LiveGrace time.Duration

	KeyRotate time.Duration // age at which the signing key is replaced
	MaxTokens time.Duration // the longest validity of a token; retired keys verify for as long

	Subscribers []Subscriber     // get every event, after the log
	Log         *slog.Logger     // nil: none
	Now         func() time.Time // nil: the system's
}

// State is everything that the services over one set of stores share. All configurations that name those stores share
// it, and it outlives each of them.
type State struct {
	options  StateOptions
	keyring  *keyring
	live     *Live
	emailKey []byte
	userKey  []byte
	codeKey  []byte
	phoneKey []byte
	workers  chan struct{} // has an element for each background task
	senders  chan struct{} // likewise for those that send a code, which wait for no other
	events   eventLog
	noted    *lru.Cache[string, time.Time] // networks, and when their use was stored
	dropped  atomic.Uint64                 // tasks
	dropping atomic.Bool                   // a warning of that is being written

	undecided undecided

	doubts chan struct{} // has an element after a Reset, until its sessions are looked up again

	mu      sync.Mutex
	unheard []NodeEvent // revocations that failed in the session store or the feed
}

// How often the maintenance of a [State] runs.
const (
	touchEvery    = 30 * time.Second
	purgeEvery    = time.Hour
	syncEvery     = time.Second      // the exchange with other processes
	phonesEvery   = time.Minute      // short, because these records link numbers with accounts
	presenceEvery = 10 * time.Minute // all of it; a PresenceStore keeps it three times as long
	keepDevices   = 400 * 24 * time.Hour
)

// OpenState makes a State, and reads or makes its keys.
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
	if o.Networks == nil {
		o.Networks, _ = o.Accounts.(NetworkStore)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	noted, err := lru.New[string, time.Time](maxNotedNetworks)
	if err != nil {
		return nil, err
	}
	st := &State{
		options: o, noted: noted, keyring: newKeyring(o.Keys, o.KeyRotate, o.Now), live: newLive(o.Now), doubts: make(chan struct{}, 1),
		workers: make(chan struct{}, maxWorkers), senders: make(chan struct{}, maxWorkers), events: eventLog{log: o.Log},
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

// maxWorkers bounds how many tasks run in the background, and how many of those that send a code.
const maxWorkers = 64

// background runs a task that no request waits for. It drops, counts and logs tasks beyond maxWorkers, and then returns
// false.
func (st *State) background(ctx context.Context, what string, do func(context.Context) error) (started bool) {
	return st.runIn(st.workers, ctx, what, do)
}

// runIn is background among other workers, and reports whether the task is run.
func (st *State) runIn(workers chan struct{}, ctx context.Context, what string, do func(context.Context) error) bool {
	select {
	case workers <- struct{}{}:
	default:
		st.dropped.Add(1)
		if st.dropping.CompareAndSwap(false, true) { // a log that is stuck holds nobody up, and one line says enough
			go func() {
				defer st.dropping.Store(false)
				st.options.Log.Warn("dropped a background task because too many are running", "task", what)
			}()
		}
		return false
	}
	go func() {
		defer func() { <-workers }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := do(ctx); err != nil {
			st.options.Log.Warn("a background task failed", "task", what, "error", err)
		}
	}()
	return true
}

// idle returns when no background task runs and the log is written, or ctx ends.
func (st *State) idle(ctx context.Context) {
	for _, workers := range []chan struct{}{st.senders, st.workers} {
		taken := 0
		for taken < maxWorkers && ctx.Err() == nil {
			select {
			case workers <- struct{}{}:
				taken++
			case <-ctx.Done():
			}
		}
		for range taken {
			<-workers
		}
	}
	st.events.flush(ctx)
}

// Live returns the live connections.
func (st *State) Live() *Live { return st.live }

// SetKeyRotation changes the age at which the signing key is replaced, as of the next check.
func (st *State) SetKeyRotation(age time.Duration) { st.keyring.rotate.Store(int64(age)) }

// SetGraces changes FeedGrace and LiveGrace.
func (st *State) SetGraces(feed, live time.Duration) {
	st.live.grace.Store(int64(feed))
	st.live.outlive.Store(int64(live))
}

// Stats are the figures of a [State], for metrics.
type Stats struct {
	Connections int // live ones
	Sessions    int // known ones
	CacheHits   uint64
	CacheMisses uint64        // look-ups of a session that asked the stores, or waited for one that did
	FeedLag     time.Duration // since the last time as of which all events of other processes are applied
	FeedBroken  bool          // FeedLag is longer than FeedGrace
	Dropped     uint64        // events not logged, and background tasks not run, because too many waited
}

// Stats returns the current figures.
func (st *State) Stats() Stats {
	l := st.live
	s := Stats{Connections: l.Connections(), Sessions: l.Sessions(), CacheHits: l.hits.Load(), CacheMisses: l.misses.Load(), Dropped: st.events.drops() + st.dropped.Load()}
	if l.followed {
		now := l.now().Sub(l.born)
		s.FeedLag, s.FeedBroken = max(now-time.Duration(l.fresh.Load()), 0), !l.heard(now)
	}
	return s
}

// Run does the maintenance until ctx ends: it follows the feed, stores the uses of sessions, deletes expired records, and
// rotates keys. Before it returns it stores the uses once more.
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
			st.flush(ctx) // else a session might be deleted whose last use is not stored
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
		// A lost use shortens the idle time by half a minute, until the next use.
		st.options.Log.Warn("cannot store the use of sessions; the next use makes up for it", "sessions", len(touches), "error", err)
	}
}

func (st *State) purge(ctx context.Context) {
	if n, err := st.options.Sessions.DeleteExpired(ctx, st.options.Now()); err != nil {
		st.options.Log.Error("cannot delete ended sessions; trying again", "error", err)
	} else if n > 0 {
		st.options.Log.Info("deleted ended sessions", "count", n)
	}
	if err := st.options.Revocations.DeleteRevocations(ctx, st.options.Now()); err != nil {
		st.options.Log.Error("cannot delete old revocations; trying again", "error", err)
	}
	if err := errors.Join(st.options.Codes.DeleteCodes(ctx, st.options.Now()), st.options.Devices.DeleteDevices(ctx, st.options.Now().Add(-keepDevices))); err != nil {
		st.options.Log.Error("cannot delete old codes and devices; trying again", "error", err)
	}
	if st.options.Networks != nil {
		if err := st.options.Networks.DeleteNetworks(ctx, st.options.Now().Add(-keepNetworks)); err != nil {
			st.options.Log.Error("cannot delete old networks of accounts; trying again", "error", err)
		}
	}
	st.deleteUnvalidated(ctx)
	switch made, err := st.keyring.refresh(ctx, st.options.MaxTokens); {
	case err != nil:
		st.options.Log.Error("cannot rotate the signing keys; trying again", "error", err)
	case made:
		st.publishKeys(ctx)
	}
}

// Package storetest is the test suite for stores: it holds a backend to the contracts of package authcore, under
// concurrency and the race detector. A backend's own test opens it and calls [Run], [RunLimits], [RunFeed] or
// [RunPresence].
//
// The suite has no database, and no clock but for limits. It sees a store only through its interface, so it tests the
// contract and not how a backend keeps it.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// Stores is a backend under test. Several fields may be one object; a nil field is not tested.
type Stores struct {
	Accounts    authcore.AccountStore
	Sessions    authcore.SessionStore
	Revocations authcore.RevocationStore // in the database of Accounts
	Codes       authcore.CodeStore       // there, too, like the next three
	Invites     authcore.InviteStore
	Phones      authcore.PhoneStore
	Devices     authcore.DeviceStore
	Networks    authcore.NetworkStore
	Keys        authcore.KeyStore

	SelfExpiring bool // sessions expire without DeleteExpired
}

const (
	racers = 16 // concurrent callers
	rounds = 30 // repetitions of a race

	fewRounds = 10 // for races whose every round makes accounts or codes
)

// Run tests the stores that open returns. Each call of open returns empty stores, and closes them with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	t.Helper()
	probe := open(t)
	if probe.Accounts != nil {
		t.Run("accounts", func(t *testing.T) {
			each(t, accountTests, func(t *testing.T) authcore.AccountStore { return open(t).Accounts })
		})
	}
	if probe.Sessions != nil {
		t.Run("sessions", func(t *testing.T) {
			each(t, sessionGroups(probe.SelfExpiring), func(t *testing.T) authcore.SessionStore { return open(t).Sessions })
		})
	}
	if probe.Revocations != nil {
		t.Run("revocations", func(t *testing.T) {
			each(t, revocationTests, func(t *testing.T) revocations {
				s := open(t)
				return revocations{s.Revocations, s.Accounts}
			})
		})
	}
	if probe.Codes != nil {
		t.Run("codes", func(t *testing.T) {
			each(t, codeTests, func(t *testing.T) codes {
				s := open(t)
				return codes{s.Codes, s.Accounts}
			})
		})
	}
	if probe.Invites != nil {
		t.Run("invites", func(t *testing.T) {
			each(t, inviteTests, func(t *testing.T) invites {
				s := open(t)
				return invites{s.Invites, s.Accounts}
			})
		})
	}
	if probe.Phones != nil {
		t.Run("phones", func(t *testing.T) {
			each(t, phoneTests, func(t *testing.T) phones {
				s := open(t)
				return phones{s.Phones, s.Accounts, s.Codes}
			})
		})
	}
	if probe.Devices != nil {
		t.Run("devices", func(t *testing.T) {
			each(t, deviceTests, func(t *testing.T) devices {
				s := open(t)
				return devices{s.Devices, s.Accounts}
			})
		})
	}
	if probe.Networks != nil {
		t.Run("networks", func(t *testing.T) {
			each(t, networkTests, func(t *testing.T) authcore.NetworkStore { return open(t).Networks })
		})
	}
	if probe.Keys != nil {
		t.Run("keys", func(t *testing.T) {
			each(t, keyTests, func(t *testing.T) authcore.KeyStore { return open(t).Keys })
		})
	}
}

type group[S any] struct {
	name string
	test func(t *testing.T, s S)
}

func each[S any](t *testing.T, groups []group[S], open func(t *testing.T) S) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { g.test(t, open(t)) })
	}
}

// parallel runs f for 0 to n-1 at the same time and waits for all of them.
func parallel(n int, f func(i int)) {
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	done.Wait()
}

// hostile is text with a meaning in some database, key scheme or template.
var hostile = []string{
	"'", `"`, "`", "%", "_", "*", "?", ":", "a:b", "{}", "{a}b", "[a-z]", `\`, `\'`, "--", "/*", ";", "$1", "?1", ":1", "@p",
	"'; DROP TABLE accounts; --", "a' OR '1'='1", "{{.}}", "${x}", "%s%n%d", "<b>&amp;", "null", "0", "-1", "true",
	" leading and trailing ", "tab\tand\nline\r\nends", "\u00e4\u00f6\u00fc", "a\u0308", "\u65e5\u672c\u8a9e", "\u0645\u0631\u062d\u0628\u0627", "\U0001f469\u200d\U0001f4bb", "\u202eright to left",
	"\ufeffbom", "\u200b", "\x01\x1b[31m\x7f", "\ufffd", "\U0010ffff", strings.Repeat("long ", 2000), strings.Repeat("\U0001f600", 2500),
}

// binary is data that a text column or a careless driver would change.
var binary = [][]byte{
	{0}, {0, 0, 0, 0}, {0xff}, []byte("a\x00b"), []byte("'"), {0x80, 0x81, 0xfe}, []byte(`\x00`), bytes.Repeat([]byte{0xa5, 0}, 512),
}

// newID returns a fresh UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newHash returns random bytes in the place of a keyed hash.
func newHash() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// now returns the time in the form that callers give to stores.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, clip(got), clip(want))
	}
}

func clip(v any) string {
	s := fmt.Sprintf("%+v", v)
	if len(s) > 1000 {
		s = s[:1000] + "..."
	}
	return s
}

// wantKind checks that err is an authcore.Error of that kind. authcore.KindOf would take any other error for
// KindInternal.
func wantKind(t *testing.T, what string, err error, kind authcore.Kind) {
	t.Helper()
	if e, ok := errors.AsType[*authcore.Error](err); !ok || e.Kind != kind {
		t.Errorf("%s: got error %v, want kind %v", what, err, kind)
	}
}

// wantPlain checks that err is an error without a kind.
func wantPlain(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
	} else if e, ok := errors.AsType[*authcore.Error](err); ok {
		t.Errorf("%s: got kind %v, want an error without one", what, e.Kind)
	}
}

// wantCanceled checks that err is the context's.
func wantCanceled(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s with a canceled context: got error %v", what, err)
	}
	wantPlain(t, what+" with a canceled context", err)
}

// wantUTC checks that a store returned a time in UTC and whole milliseconds.
func wantUTC(t *testing.T, what string, at time.Time) {
	t.Helper()
	if at.Location() != time.UTC || at.Nanosecond()%int(time.Millisecond) != 0 {
		t.Errorf("%s: %v is not in UTC and whole milliseconds", what, at)
	}
}

// times are in forms that a store has to normalise.
var times = []time.Time{
	time.Date(2026, 2, 28, 23, 59, 59, 999_000_000, time.UTC),
	time.Date(2026, 3, 29, 2, 30, 0, 1_000_000, time.FixedZone("east", 2*3600)),
	time.Date(2026, 1, 1, 0, 0, 0, 123_999_999, time.FixedZone("west", -9*3600-1800)),
	time.Unix(0, 0),
	time.UnixMilli(1),
	time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC),
	time.Date(2038, 1, 19, 3, 14, 8, 1_000_000, time.UTC), // past 32 bits of seconds
	time.Date(2500, 6, 15, 12, 0, 0, 7_000_000, time.UTC), // past 64 bits of nanoseconds
}

func kept(at time.Time) time.Time { return time.UnixMilli(at.UnixMilli()).UTC() }

//go:build linux

package accounts

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/gatetest"
)

// The rule of timing: answers to two classes of requests, interleaved at random on one connection, the first ones left
// out, may differ in their median by 2 ms or a twentieth of what hashing a password takes, whichever is more. Where they
// differ by more in two of three runs, somebody can tell the classes apart.
const (
	samples = 200 // of a class in a run
	warmup  = 20
)

// measured is for tests that measure: under the race detector they show nothing. test.sh runs them without it, and with
// nothing beside them.
func measured(t *testing.T) {
	if gatetest.Race {
		t.Skip("the race detector takes time of its own")
	}
}

// wantAlike fails the test if two classes of requests can be told apart by the time that they take. They are made over
// several connections at once where each takes long.
func wantAlike(t *testing.T, g *gatetest.Gateway, hash time.Duration, conns int, classes map[string]func() request, check func(class string, a answer)) {
	t.Helper()
	bound := max(2*time.Millisecond, hash/20)
	names := slices.Sorted(maps.Keys(classes))
	clients := make(chan *overHTTP, conns)
	for range conns {
		clients <- newHTTP(t, g)
	}
	failed := 0
	for run := range 3 {
		var order []string
		for range samples + warmup {
			order = append(order, names...)
		}
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		var mu sync.Mutex
		took := make(map[string][]time.Duration)
		var all sync.WaitGroup
		for i, name := range order {
			conn := <-clients
			r := classes[name]()
			all.Go(func() {
				defer func() { clients <- conn }()
				conn.load(r)
				begin := time.Now()
				conn.fire()
				a := conn.answer()
				d := time.Since(begin)
				mu.Lock()
				defer mu.Unlock()
				if !t.Failed() {
					check(name, a)
				}
				if i >= warmup {
					took[name] = append(took[name], d)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		medians := make(map[string]time.Duration)
		for _, name := range names {
			slices.Sort(took[name])
			medians[name] = took[name][len(took[name])/2]
		}
		least, most := slices.Min(slices.Collect(maps.Values(medians))), slices.Max(slices.Collect(maps.Values(medians)))
		t.Logf("run %d: %v; they may differ by %v", run, medians, bound)
		if most-least > bound {
			failed++
		}
		if failed == 2 || run == 1 && failed == 0 {
			break
		}
	}
	if failed >= 2 {
		t.Error("the classes can be told apart")
	}
}

// hashTime is what one hash of the deployment takes, measured by logins over a warm connection.
func hashTime(t *testing.T, d *deployment, email string) time.Duration {
	t.Helper()
	conn := newHTTP(t, d.node(0))
	var all []time.Duration
	for range 11 {
		conn.load(request{method: http.MethodPost, path: "/api/auth/login", body: object{"email": email, "password": password}})
		begin := time.Now()
		conn.fire()
		if a := conn.answer(); a.status != http.StatusOK {
			t.Fatalf("a login: %v", a)
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// Whether there is an account cannot be told by how long a refused login takes, over any dialect, whether or not
// accounts are concealed.
func TestLoginTiming(t *testing.T) {
	measured(t)
	for _, more := range []string{"", "conceal_accounts"} {
		t.Run("with "+more, func(t *testing.T) {
			// No test runs beside this one, and no delay after failures gets in the way.
			d := one(t, options{more: more + "\n\t\tlogin_backoff 100 1s 1s", memory: 19456})
			_, email, _ := d.user(t)
			hash := hashTime(t, d, email)
			known := make([]string, 40) // so many that none is tried a hundred times
			for i := range known {
				known[i], _, _ = d.user(t)
			}
			n := 0
			claim := func(class string) string {
				n++
				if class == "unknown" {
					return fmt.Sprintf("nobody%d", n)
				}
				return known[n%len(known)]
			}
			for path, body := range map[string]func(name string) object{
				"/users/login": func(name string) object { return object{"username": name, "password": "Wrong-Quarry-1"} },
				"/api/auth/login": func(name string) object {
					return object{"email": name + "@example.com", "password": "Wrong-Quarry-1"}
				},
			} {
				t.Run(path, func(t *testing.T) {
					classes := make(map[string]func() request)
					for _, class := range []string{"known", "unknown"} {
						classes[class] = func() request { return request{method: http.MethodPost, path: path, body: body(claim(class))} }
					}
					bodies := make(map[string]string)
					wantAlike(t, d.node(0), hash, 1, classes, func(class string, a answer) {
						if a.status != http.StatusUnauthorized {
							t.Errorf("%s: %v", class, a)
						}
						bodies[class] = a.body
					})
					if same := bodies["known"] == bodies["unknown"]; same != (more != "" || path == "/api/auth/login") {
						t.Errorf("the answers: %q", bodies)
					}
				})
			}
		})
	}
}

// Nor by how long it takes to be told that a code was sent; the answers are the same where accounts are concealed.
func TestResetTiming(t *testing.T) {
	measured(t)
	for _, more := range []string{"", "conceal_accounts"} {
		t.Run("with "+more, func(t *testing.T) {
			d := one(t, options{more: more})
			// One account is sent three codes at the most, so there are many; an operator makes them.
			var accounts []string
			account := func() string {
				name := d.name()
				_, err := d.admin.Register(t.Context(), authcore.Registration{
					ClaimedName: name, Password: authcore.NewPassword(password), ClaimedEmail: name + "@example.com",
				})
				must(t, err)
				return name
			}
			asked := 0
			next := func(class string) request {
				name := fmt.Sprintf("nobody%d", rand.Int64())
				if class == "known" {
					if asked%3 == 0 {
						accounts = append(accounts, account())
					}
					asked++
					name = accounts[len(accounts)-1]
				}
				return request{method: http.MethodPost, path: "/users/requestotp", body: object{"username": name}}
			}
			shapes := make(map[string]int)
			conns := 1
			if more == "" {
				conns = 16 // every answer takes 300 ms
			}
			wantAlike(t, d.node(0), 0, conns, map[string]func() request{
				"known":   func() request { return next("known") },
				"unknown": func() request { return next("unknown") },
			}, func(class string, a answer) {
				want := http.StatusOK
				if more == "" && class == "unknown" {
					want = http.StatusForbidden
				}
				if a.status != want {
					t.Errorf("%s: %v", class, a)
				}
				shapes[class] = len(a.body)
			})
			if same := shapes["known"] == shapes["unknown"]; same != (more != "") {
				t.Errorf("the lengths of the answers: %v", shapes)
			}
		})
	}
}

// Nor by how long the refusal of a token takes whose session is over: of an account that is there, and of one that is gone.
func TestRefreshTiming(t *testing.T) {
	measured(t)
	for _, more := range []string{"", "conceal_accounts"} {
		t.Run("with "+more, func(t *testing.T) {
			d := one(t, options{more: more})
			_, _, known := d.user(t)
			d.mustCall(t, 0, http.MethodPost, "/api/auth/logout", known, nil, http.StatusNoContent)
			gone, _, unknown := d.user(t)
			db, err := sql.Open("sqlite", "file:"+d.file+"?_pragma=busy_timeout(20000)")
			must(t, err)
			defer db.Close()
			_, err = db.ExecContext(t.Context(), `DELETE FROM accounts WHERE username = $1`, gone)
			must(t, err)
			d.mustCall(t, 0, http.MethodPost, "/api/auth/logout-all", unknown, nil, http.StatusUnauthorized) // it was known until now
			refresh := func(token string) func() request {
				return func() request { return request{method: http.MethodPost, path: "/api/auth/refresh", token: token} }
			}
			bodies := make(map[string]string)
			wantAlike(t, d.node(0), 0, 1, map[string]func() request{"known": refresh(known), "unknown": refresh(unknown)}, func(class string, a answer) {
				if a.status != http.StatusUnauthorized {
					t.Errorf("%s: %v", class, a)
				}
				bodies[class] = a.body
			})
			if bodies["known"] != bodies["unknown"] {
				t.Errorf("the answers: %q", bodies)
			}
		})
	}
}

package lifecycle

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// PWD-04: 300 logins at once, with what a login costs by default.
func TestLoginFlood(t *testing.T) {
	for _, rate := range []struct{ name, line string }{
		{"bounded by the queue", "login_rate 100000/1s"},
		{"bounded by the address's rate", "login_rate 60/1m"},
	} {
		t.Run(rate.name, func(t *testing.T) {
			up := gatetest.NewUpstream(t, echo)
			cfg := func(line string) string {
				return plain{upstream: up.Addr, app: line + "\n\t\thash {\n\t\t\tmemory_kib 19456\n\t\t\ttime 2\n\t\t}"}.String()
			}
			g := gatetest.Start(t, cfg("login_rate 100000/1s"))
			for i := range 5 {
				g.Register(fmt.Sprintf("user%d", i), password)
			}
			g.Register("calm", password)
			tok := g.Login("calm", password)
			var socks []*sock
			for i := range 10 {
				socks = append(socks, talk(t, g, fmt.Sprintf("member %d", i), false, tok), talk(t, g, fmt.Sprintf("visitor %d", i), false, ""))
			}
			if err := g.Reload(cfg(rate.line)); err != nil {
				t.Fatal(err)
			}
			alive(t, socks)
			idle := g.Usage().RSS
			peak := samplePeak(t, g)

			begun, before := time.Now(), rounds(socks)
			answers := make([]answer, 300)
			took := make([]time.Duration, len(answers))
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					name, secret := fmt.Sprintf("user%d", i%5), password
					switch i % 3 {
					case 1:
						secret = "not-the-password-at-all"
					case 2:
						name = fmt.Sprintf("nobody%d", i)
					}
					start := time.Now()
					answers[i] = post(g, "/api/v1/login", "", name, secret)
					took[i] = time.Since(start)
				})
			}
			wg.Wait()
			all := time.Since(begun)
			over := peak() - idle
			count := make(map[int]int)
			var refused []time.Duration
			for i, a := range answers {
				count[a.status]++
				switch a.status {
				case http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized:
					if i%3 == 0 != (a.status == http.StatusOK) {
						t.Errorf("login %d: %d %s", i, a.status, a.body)
					}
				case http.StatusTooManyRequests, http.StatusServiceUnavailable:
					refused = append(refused, took[i])
					if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 {
						t.Errorf("login %d: %d with Retry-After %q", i, a.status, a.header.Get("Retry-After"))
					}
				default:
					t.Errorf("login %d: %d %s, %v", i, a.status, a.body, a.err)
					continue
				}
				a.envelope(t)
			}
			if count[http.StatusOK]+count[http.StatusBadRequest]+count[http.StatusUnauthorized] == 0 || len(refused) == 0 {
				t.Errorf("of a flood some are decided and some refused: %v", count)
			}
			slices.Sort(refused)
			t.Logf("answers %v in %v; refusals took %v (median) to %v; %d MiB over idle; %d messages meanwhile",
				count, all, refused[len(refused)/2], refused[len(refused)-1], over>>20, rounds(socks)-before)
			if !gatetest.Race && over > 200<<20 {
				t.Errorf("the flood took %d MiB over idle", over>>20)
			}
			alive(t, socks)
			hangUp(t, socks)
			var worst time.Duration
			for _, s := range socks {
				worst = max(worst, s.worst)
			}
			t.Logf("the slowest message took %v", worst)
			if err := g.Reload(cfg("login_rate 1000/1s")); err != nil {
				t.Fatal(err)
			}
			// The wider rate refills the address's budget from here on.
			gatetest.Eventually(t, "a login after the flood", func() bool {
				return post(g, "/api/v1/login", "", "calm", password).status == http.StatusOK
			})
		})
	}
}

// samplePeak watches the process's memory until the function that it returns is called.
func samplePeak(t testing.TB, g *gatetest.Gateway) func() int64 {
	var peak int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, rss(g))
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	var once sync.Once
	stop := func() { once.Do(func() { close(end) }); <-ended }
	t.Cleanup(stop)
	return func() int64 {
		stop()
		return peak
	}
}

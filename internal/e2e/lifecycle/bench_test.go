package lifecycle

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// BenchmarkShortRequest takes the gateway's CPU time of a request that an upstream answers at once, on eight connections, in
// microseconds. To compare, run two gateways in turn ($CHATGATE_TEST_GATEWAY).
func BenchmarkShortRequest(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	b.Cleanup(up.Close)
	g := gatetest.Start(b, plain{upstream: up.Listener.Addr().String()}.String())
	g.Register("alice", password)
	for who, token := range map[string]string{"member": g.Login("alice", password), "visitor": ""} {
		b.Run(who, func(b *testing.B) {
			const conns = 8
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
			defer client.CloseIdleConnections()
			ask := func(n int) {
				for range n {
					req, err := http.NewRequest(http.MethodGet, "http://"+g.HTTP+"/", http.NoBody)
					if err != nil {
						b.Error(err)
						return
					}
					if token != "" {
						req.Header.Set("Authorization", "Bearer "+token)
					}
					resp, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
			ask(200)
			before := cpuTicks(b, g.Pid())
			var all sync.WaitGroup
			for range conns {
				all.Go(func() { ask(b.N/conns + 1) })
			}
			all.Wait()
			const tick = 10_000 // microseconds, on every Linux
			b.ReportMetric(float64(cpuTicks(b, g.Pid())-before)*tick/float64(conns*(b.N/conns+1)), "cpu-µs/op")
		})
	}
}

// cpuTicks returns the time that a process has had of the processors.
func cpuTicks(b *testing.B, pid int) int64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // from the third on
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return user + system
}

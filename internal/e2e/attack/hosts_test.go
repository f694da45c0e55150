package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// HDR-05, more than 100 hosts: from there on Caddy looks a host up in another way, and must not miss one for its
// spelling. A site for members only stays one under every spelling of its name, beside one where visitors may look.
func TestHDR05ManyHosts(t *testing.T) {
	shared.Use(t)
	up := newRecorder(t, echo)
	port := gatetest.FreePort(t)
	var sites []string
	for i := range 150 {
		sites = append(sites, fmt.Sprintf("http://Member%03d.Test:%d", i, port))
	}
	gatetest.Start(t, strings.NewReplacer("UPSTREAM", up.Addr, "SITES", strings.Join(sites, ", "), "PORT", fmt.Sprint(port)).Replace(`{
	{{GLOBAL}}
	chatgate
}

SITES {
	chatgate_proxy UPSTREAM {
		anonymous refuse
	}
}

http://open.test:PORT {
	chatgate_proxy UPSTREAM
}
`))
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	status := func(host string) int {
		t.Helper()
		r := gatetest.Dial(t, addr)
		defer r.Close()
		r.Send(request("GET", "/x", host, "Connection: close"))
		resp, _ := r.Response()
		return resp.StatusCode
	}
	if got := status("open.test"); got != http.StatusOK || up.count() != 1 {
		t.Fatalf("the open site: %d, %d requests", got, up.count())
	}
	for _, i := range []int{0, 1, 74, 99, 100, 101, 148, 149} {
		name := fmt.Sprintf("member%03d.test", i)
		for _, host := range []string{name, strings.ToUpper(name), "Member" + name[6:], fmt.Sprintf("%s:%d", name, port), strings.ToUpper(name) + ":1"} {
			if got := status(host); got != http.StatusUnauthorized {
				t.Errorf("Host %s: %d", host, got)
			}
		}
		status(name + ".") // Caddy serves it or does not; what it may not do is pass it on
	}
	up.untouched(t, 1)
}

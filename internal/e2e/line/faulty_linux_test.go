package line

import (
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/faultproxy"
	"github.com/chatgate/chatgate/internal/redistest"
)

// faulty runs Redis where the options name it, and returns a source that does to it what it is asked, and answers "done".
func faulty(t *testing.T, app string) (source func(testing.TB, string) string, env []string) {
	t.Helper()
	if !strings.Contains(app, "{env.REDIS}") {
		return nil, nil
	}
	r := redistest.Start(t)
	p := faultproxy.New(t, r.Addr)
	return func(t testing.TB, what string) string {
		switch what {
		case "cut":
			p.Cut()
		case "healed":
			p.Heal()
		default:
			t.Fatalf("stores %s?", what)
		}
		return "done"
	}, []string{"REDIS=" + strings.Replace(r.URL(), r.Addr, p.Addr, 1)}
}

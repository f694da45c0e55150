package attack

import (
	"net/http"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// Where the chat itself tells visitors from members, all that a visitor sends passes, and nothing says that they may write.
func TestUnmarkedVisitors(t *testing.T) {
	c := theChat(t)
	n := c.up.count()
	r := gatetest.Dial(t, c.HTTP)
	r.Open(c.HTTP, "/unmarked/x", "Remote-Access: read-write")
	r.Echo("40") // socket.io's client speaks first
	v := c.up.visit(t, n)
	assertIdentity(t, v.head, "", false)
	assertFrames(t, v, "text 40")
	n = c.up.count()
	if resp, body := c.request("POST", "/unmarked/x", "Content-Length: 0"); resp.StatusCode != http.StatusOK {
		t.Errorf("POST: %s %s", resp.Status, body)
	}
	assertIdentity(t, c.up.visit(t, n).head, "", false)
	n = c.up.count()
	r = gatetest.Dial(t, c.HTTP)
	r.Open(c.HTTP, "/unmarked/x", bearer(c.alice))
	r.Echo("40")
	assertIdentity(t, c.up.visit(t, n).head, "alice", true)
}

package browser

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
)

// page is what a page does, in a Node whose global WebSocket keeps to the same standard as a browser's.
const page = `const [url, offer, token] = process.argv.slice(-3);
const ws = new WebSocket(url, JSON.parse(offer));
ws.onopen = () => { console.log("open " + (ws.protocol === token ? "token" : ws.protocol)); process.exit(0); };
ws.onerror = () => { console.log("failed"); process.exit(0); };`

// A page offers what the chat behind the gate speaks, and the token alone before one that knows no subprotocols: the README
// tells which way is for which. The clients in testdata do the other, before a room that answers with chat.v1.
func TestOfferedSubprotocols(t *testing.T) {
	command := withWebSocket(leash.Find(t, "node"))
	if command == nil {
		t.Skip("this Node has no global WebSocket")
	}
	silent := gatetest.NewUpstream(t, nil) // chooses no subprotocol
	g := gatetest.Start(t, "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t}\n}\n"+
		"http://{{HTTP}} {\n\tchatgate_accounts rooms\n\tchatgate_proxy "+silent.Addr+"\n}\n")
	g.Register("alice", secret)
	token := g.Login("alice", secret)
	for _, c := range []struct{ offer, want string }{
		{`"TOKEN"`, "open token"},
		{`["TOKEN"]`, "open token"},
		{`["TOKEN", "chat.v1"]`, "failed"},
		{`[]`, "open "},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		args := append(command[1:len(command):len(command)], "--eval", page, "ws://"+g.HTTP+"/chat", strings.Replace(c.offer, "TOKEN", token, 1), token)
		out, err := exec.CommandContext(ctx, command[0], args...).Output()
		cancel()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.offer, got, err, c.want)
		}
	}
}

package lifecycle

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// What an operator decides holds for HTTP connections that were open before: whatever becomes of one that is kept alive, it
// makes no account any more.
func TestPolicyReachesOpenConnections(t *testing.T) {
	first := plain{upstream: "127.0.0.1:1", app: "registration open"}
	g := gatetest.Start(t, first.String())
	post := func(name string) (head, body string) {
		body = fmt.Sprintf(`{"username":%q,"secret":%q}`, name, password)
		return fmt.Sprintf("POST /api/v1/users HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", g.HTTP, len(body)), body
	}
	used := gatetest.Dial(t, g.HTTP)
	head, body := post("alice")
	if _, err := io.WriteString(used, head+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	if line, err := used.R.ReadString('\n'); !strings.Contains(line, " 201 ") {
		t.Fatalf("before: %q %v", line, err)
	}
	if err := g.Reload(plain{upstream: "127.0.0.1:1", app: "registration closed"}.String()); err != nil {
		t.Fatal(err)
	}
	head, body = post("bob")
	_, _ = io.WriteString(used, head+"Connection: close\r\n\r\n"+body)
	_ = used.SetReadDeadline(time.Now().Add(20 * time.Second))
	rest, _ := io.ReadAll(used.R)
	if strings.Contains(string(rest), " 201 ") {
		t.Errorf("made an account after the reload: %q", rest)
	}
	if status, _, b := g.Call("POST", "/api/v1/login", "", body); status != 400 {
		t.Errorf("bob has an account: %d %s", status, b)
	}
}

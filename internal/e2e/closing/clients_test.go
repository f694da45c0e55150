package closing

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
)

// group are sockets that a client opens at once.
type group struct {
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	Protocols []string `json:"protocols"`
	Send      string   `json:"send"` // text, binary or nothing, when a socket is open
	Hold      bool     `json:"hold"` // the next group does not wait for this one to be closed
	Count     int      `json:"count"`

	code int
}

// many is how many sockets each client has in each situation.
const many = 30

// groups are all situations in the clear and over TLS; the last are the ones that the gateway's end closes.
func groups(g *gatetest.Gateway) []group {
	var all []group
	for _, of := range []group{
		{Name: "visitor", URL: "/chat", Send: "text", code: 1008},
		{Name: "bad token", URL: "/refused", Protocols: []string{badToken}, code: 4401},
		{Name: "binary", URL: "/methods", Send: "binary", code: 1003},
		{Name: "logout", URL: "/chat", Hold: true, code: 4401},
		{Name: "stop", URL: "/chat", Hold: true, code: 1012},
		{Name: "stop of methods", URL: "/methods", Hold: true, code: 1012},
	} {
		for _, base := range []string{"ws://" + g.HTTP, "wss://" + g.HTTPS} {
			one := of
			one.Name, one.URL, one.Count = of.Name+" "+base[:strings.Index(base, ":")], base+of.URL, many
			switch {
			case of.Name == "logout":
				one.Protocols = []string{g.Login("alice", password)}
			case one.Protocols == nil:
				one.Protocols = []string{}
			}
			all = append(all, one)
		}
	}
	return all
}

// client is a program or a browser that is given groups, and says line by line what becomes of them.
type client struct {
	name  string
	start func(t *testing.T, g *gatetest.Gateway, groups []byte) (lines <-chan string, missing string)
}

// TestClients closes sockets in every way. No client may see anything but the code that it was closed with.
func TestClients(t *testing.T) {
	g := start(t)
	var lacking []string
	var all, ready sync.WaitGroup // ready: a client has nothing left to wait for but the end
	for _, c := range []client{
		{"aiohttp", python("aiohttp")},
		{"websockets", python("websockets")},
		{"ws", node("ws")},
		{"undici", node("undici")},
		{"websocket", node("websocket")},
		{"chromium", chromium},
	} {
		what := groups(g)
		spec, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		said, lacks := c.start(t, g, spec)
		if lacks != "" {
			lacking = append(lacking, lacks)
			continue
		}
		ready.Add(1)
		all.Go(func() { follow(t, g, c.name, what, said, sync.OnceFunc(ready.Done)) })
	}
	ready.Wait()
	g.Stop()
	all.Wait()
	if len(lacking) > 0 {
		leash.Missing(t, strings.Join(lacking, "; "))
	}
}

// follow hears what becomes of the groups of a client, and logs out where it waits for that.
func follow(t *testing.T, g *gatetest.Gateway, client string, all []group, said <-chan string, ready func()) {
	defer ready()
	open, closed := 0, 0
	for line := range said {
		what, rest, _ := strings.Cut(line, " ")
		name, codes, _ := strings.Cut(rest, ": ")
		i := slices.IndexFunc(all, func(g group) bool { return g.Name == name })
		switch {
		case what == "done":
		case i < 0:
			t.Errorf("%s said %q", client, line)
		case what == "open":
			if strings.HasPrefix(name, "logout ") {
				logout(t, g, all[i].Protocols[0])
			}
			if open++; open == len(all) {
				ready()
			}
		case what == "closed":
			closed++
			right := 0
			for code := range strings.SplitSeq(codes, ", ") {
				if code == strconv.Itoa(all[i].code) {
					right++
				}
			}
			if right != many {
				t.Errorf("%s, %s: %d of %d saw %d: %s", client, name, right, many, all[i].code, codes)
			}
		}
	}
	if closed != len(all) {
		t.Errorf("%s: %d of %d groups were closed", client, closed, len(all))
	}
}

// python starts a client that is written with a package of Debian's. The first python3 of a PATH may be another one, which
// has no such packages.
func python(pkg string) func(*testing.T, *gatetest.Gateway, []byte) (<-chan string, string) {
	return func(t *testing.T, _ *gatetest.Gateway, spec []byte) (<-chan string, string) {
		for _, program := range []string{"/usr/bin/python3", "python3"} {
			if exec.Command(program, "-c", "import "+pkg).Run() == nil {
				return lines(t, program, "testdata/closing.py", pkg, string(spec)), ""
			}
		}
		return nil, "python3-" + pkg
	}
}

// node starts a client that is written with a package of Debian's, or one that npm has put into testdata.
func node(pkg string) func(*testing.T, *gatetest.Gateway, []byte) (<-chan string, string) {
	return func(t *testing.T, _ *gatetest.Gateway, spec []byte) (<-chan string, string) {
		program, err := exec.LookPath("node")
		if err != nil {
			return nil, "nodejs"
		}
		found := exec.Command(program, "-e", "require('"+pkg+"')")
		found.Dir, found.Env = "testdata", nodeEnv()
		if found.Run() != nil {
			return nil, pkg + " for node (node-ws, or npm ci --ignore-scripts in internal/e2e/closing/testdata)"
		}
		return lines(t, program, "testdata/closing.js", pkg, string(spec)), ""
	}
}

func nodeEnv() []string {
	return append(os.Environ(), "NODE_PATH=/usr/share/nodejs", "NODE_TLS_REJECT_UNAUTHORIZED=0")
}

// lines runs a program and returns what it prints.
func lines(t *testing.T, command ...string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = nodeEnv()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	said := make(chan string)
	go func() {
		defer cancel()
		defer close(said)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			said <- sc.Text()
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", command[:3], err, &stderr)
		}
	}()
	return said
}

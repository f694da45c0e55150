package redisstore

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// documentedRights are those of the line in docs/nodes.md, without a password.
func documentedRights(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/nodes.md")
	must(t, err)
	line := regexp.MustCompile(`(?m)^user chat on >change-me (.+)$`).FindSubmatch(page)
	if line == nil {
		t.Fatal("docs/nodes.md does not list the rights")
	}
	return strings.Fields(string(line[1]))
}

// A user with the documented rights can do everything. One who lacks any of them is refused at the start, with its name,
// instead of failing with every call.
func TestOpenRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "save", "3600 1")
	documented := documentedRights(t)
	user := func(name string, rights ...string) Options {
		t.Helper()
		args := []any{"acl", "setuser", name, "reset", "on", ">" + secret}
		for _, right := range rights {
			args = append(args, right)
		}
		must(t, server.Client().Do(t.Context(), args...).Err())
		return withPassword(server.Addr, name, secret)
	}
	without := func(right string) (rest []string) {
		for _, other := range documented {
			if other != right {
				rest = append(rest, other)
			}
		}
		return rest
	}
	const refusal = "redis: the server does not let the user of the URL do all that is needed; give it these rights: "

	for _, right := range documented {
		switch right {
		case "resetkeys", "resetchannels", "-@all", "+info", "+config|get": // of which the first three take, and the others are warned of
		case "+ping":
			refuses(t, right, user("lacks", without(right)...), "redis: the user of the URL lacks a permission", "ping")
		default:
			refuses(t, right, user("lacks", without(right)...), refusal+right)
		}
	}
	refuses(t, "scripting", user("lacks", append(documented, "-@scripting")...), refusal+"+eval +evalsha")
	refuses(t, "writing", user("access", append(documented, "-@write")...), refusal+"+hsetnx +pexpire +hset +hdel ")
	refuses(t, "keys of another prefix", user("lacks", append(without("~chatgate:*"), "~chat:*")...), refusal+"~chatgate:*")
	refuses(t, "keys of sessions alone", user("lacks", append(without("~chatgate:*"), "~chatgate:{*}:sessions")...), refusal+"~chatgate:*")
	refuses(t, "keys to be read", user("lacks", append(without("~chatgate:*"), "%R~chatgate:*")...), refusal+"~chatgate:*")

	o := user("fit", documented...)
	must(t, server.Client().FlushAll(t.Context()).Err()) // what those left who may not take it away
	warns(t, "as documented", o)
	if left, err := server.Client().Keys(t.Context(), "*rights*").Result(); err != nil || len(left) != 0 {
		t.Errorf("the check left %q behind, %v", left, err)
	}
	t.Run("everything", func(t *testing.T) {
		o := user("wide", append(without("~chatgate:*"), "~*")...) // each store has a prefix of its own
		runSessions(t, o)
		runLimits(t, o)
		node := func(t *testing.T) *Store {
			return openFeed(t, server, func(f *Options) { f.URLs = o.URLs })
		}
		storetest.RunFeed(t, func(t *testing.T) storetest.Feeds { return storetest.Feeds{node(t), node(t), node(t)} })
		storetest.RunPresence(t, func(t *testing.T) storetest.Nodes { return presenceNodes(t, node(t), node(t)) })
	})
}

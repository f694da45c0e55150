//go:build linux

package redisstore

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/redistest"
	"github.com/chatgate/chatgate/internal/tcptest"
)

// secret is in every URL here that can hold one, and must be in no error and no log.
const secret = "hunter2"

func TestValidate(t *testing.T) {
	one := func(u string) Options { return Options{URLs: []string{u}} }
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no URL":             {Options{}, "there is no URL; write one, such as redis://localhost:6379"},
		"two of one":         {Options{URLs: []string{"redis://a", "redis://b"}}, "there are 2 URLs; more than one needs mode sentinel or mode cluster"},
		"no scheme":          {one(secret + ".example.com:6379"), "URL 1 cannot be used: it must begin with redis://, rediss:// or unix://"},
		"another scheme":     {one("http://:" + secret + "@a"), "URL 1 cannot be used: it must begin with redis://, rediss:// or unix://"},
		"no host":            {one("redis://:" + secret + "@:6379"), "URL 1 cannot be used: it names no host"},
		"bad port":           {one("redis://:" + secret + "@a:x"), "URL 1 cannot be used: it is malformed"},
		"bare percent":       {one("redis://:" + secret + "%@a"), "URL 1 cannot be used: it is malformed"},
		"question mark":      {one("redis://:x?" + secret + "@a"), "URL 1 cannot be used: it is malformed"},
		"hash":               {one("redis://a#" + secret), "URL 1 cannot be used: it takes no options; if ? or # belongs to the password, percent-encode it"},
		"option":             {one("redis://a?x=" + secret), "URL 1 cannot be used: it takes no options; if ? or # belongs to the password, percent-encode it"},
		"bad option":         {one("redis://a?%zz=" + secret), "URL 1 cannot be used: it takes no options; if ? or # belongs to the password, percent-encode it"},
		"database":           {one("redis://a/" + secret), "URL 1 cannot be used: its path must be the number of a database"},
		"negative database":  {one("redis://a/-1"), "URL 1 cannot be used: its path must be the number of a database"},
		"user alone":         {one("redis://" + secret + "@a"), "URL 1 cannot be used: it has a user without a password; a password alone is written :password@"},
		"socket of a host":   {one("unix://a/b"), "URL 1 cannot be used: it must have the form unix:///path/of/the/socket"},
		"port":               {one("redis://a:70000"), "URL 1 cannot be used: its port must be between 1 and 65535"},
		"certificate, plain": {Options{CertFile: "x", KeyFile: "y", URLs: []string{"redis://a"}}, "cert only matters with a rediss URL"},
		"socket nowhere":     {one("unix://"), "URL 1 cannot be used: it must have the form unix:///path/of/the/socket"},
		"second":             {Options{Mode: Cluster, URLs: []string{"redis://a", "b"}}, "URL 2 cannot be used: it must begin with redis://, rediss:// or unix://"},
		"second differs": {
			Options{Mode: Cluster, URLs: []string{"redis://a", "redis://:" + secret + "@b"}},
			"URL 2 cannot be used: it may differ from the first in the host alone",
		},
		"clustered socket":    {Options{Mode: Cluster, URLs: []string{"unix:///a"}}, "URL 1 cannot be used: mode cluster takes no unix URL"},
		"clustered database":  {Options{Mode: Cluster, URLs: []string{"redis://a/1"}}, "URL 1 cannot be used: a cluster has only database 0"},
		"mode":                {Options{Mode: "ring", URLs: []string{"redis://a"}}, `mode is "ring"; it is single, sentinel or cluster`},
		"nameless master":     {Options{Mode: Sentinel, URLs: []string{"redis://a"}}, "mode sentinel needs master, the name that the Sentinels give to the servers"},
		"needless master":     {Options{Master: "x", URLs: []string{"redis://a"}}, "master only matters with mode sentinel"},
		"needless password":   {Options{SentinelPassword: secret, URLs: []string{"redis://a"}}, "the Sentinels' user and password only matter with mode sentinel"},
		"needless CA":         {Options{CAFile: "x", URLs: []string{"redis://a"}}, "ca only matters with a rediss URL"},
		"certificate, no key": {Options{CertFile: "x", URLs: []string{"rediss://a"}}, "a client certificate needs cert and key"},
		"prefix":              {Options{Prefix: "{a}", URLs: []string{"redis://a"}}, `prefix is "{a}"; use at most 64 letters, digits, hyphens, underscores, dots and colons`},
		"one connection":      {Options{MaxConns: 1, URLs: []string{"redis://a"}}, "max_conns is 1; it must be at least 2"},
		"negative timeout":    {Options{CommandTimeout: -1, URLs: []string{"redis://a"}}, "command_timeout is -1ns; it must be positive"},

		"host":              {one("redis://a"), ""},
		"all of it":         {one("redis://user:" + secret + "@[::1]:1/15"), ""},
		"TLS":               {one("rediss://:" + secret + "@a"), ""},
		"socket":            {one("unix://:" + secret + "@/run/redis.sock?db=3"), ""},
		"cluster":           {Options{Mode: Cluster, URLs: []string{"redis://a:1", "redis://b:2"}}, ""},
		"sentinels":         {Options{Mode: Sentinel, Master: "x", URLs: []string{"redis://a/2", "redis://b/2"}}, ""},
		"encoded password":  {one("redis://:%3f%23%25@a"), ""},
		"slash at the end":  {one("redis://a/"), ""},
		"certificate, key":  {Options{CertFile: "x", KeyFile: "y", URLs: []string{"rediss://a"}}, ""},
		"prefix of a group": {Options{Prefix: "chat.example:v1", URLs: []string{"redis://a"}}, ""},
	} {
		got := ""
		if err := c.o.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestURLParts(t *testing.T) {
	for text, want := range map[string]struct {
		addr string
		s    server
	}{
		"redis://a":                      {"a:6379", server{network: "tcp"}},
		"rediss://u:p%40@[::1]:7/3":      {"[::1]:7", server{network: "tcp", user: "u", password: "p@", db: 3, tls: true}},
		"unix://:p@/run/redis.sock?db=3": {"/run/redis.sock", server{network: "unix", password: "p", db: 3}},
	} {
		addr, s, err := parseURL(text, Single)
		if err != nil || addr != want.addr || s != want.s {
			t.Errorf("%s: %q, %+v, %v", text, addr, s, err)
		}
	}
}

// opens tries to open a store and returns the error as text and what was logged.
func opens(t *testing.T, o Options) (failure, log string) {
	t.Helper()
	var buf bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&buf, nil))
	if o.CommandTimeout == 0 {
		o.ConnectTimeout, o.CommandTimeout = 20*time.Second, 20*time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := Open(ctx, o)
	if err == nil {
		must(t, s.CreateSession(ctx, newSession("account")))
		must(t, s.Close())
	} else {
		failure = err.Error()
	}
	if strings.Contains(failure+buf.String(), secret) {
		t.Errorf("the password shows: %s %s", failure, buf.String())
	}
	if strings.Contains(failure, "\n") {
		t.Errorf("more than a line: %q", failure)
	}
	return failure, buf.String()
}

// refuses checks that a store does not open, for the reason that the error must name.
func refuses(t *testing.T, what string, o Options, parts ...string) {
	t.Helper()
	failure, _ := opens(t, o)
	for _, part := range parts {
		if !strings.Contains(failure, part) {
			t.Errorf("%s: got %q, want %q in it", what, failure, part)
		}
	}
}

// warns checks that a store opens, and that just these texts are in its log.
func warns(t *testing.T, what string, o Options, texts ...string) {
	t.Helper()
	failure, log := opens(t, o)
	if failure != "" {
		t.Errorf("%s: %s", what, failure)
	}
	if strings.Count(log, "\n") != len(texts) {
		t.Errorf("%s: want %d lines in the log:\n%s", what, len(texts), log)
	}
	for _, text := range texts {
		if !strings.Contains(log, text) {
			t.Errorf("%s: want %q in the log:\n%s", what, text, log)
		}
	}
}

func withPassword(addr, user, password string) Options {
	u := url.URL{Scheme: "redis", Host: addr, User: url.UserPassword(user, password)}
	return Options{URLs: []string{u.String()}}
}

func TestOpenPasswords(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "requirepass", secret, "save", "3600 1")
	warns(t, "right", withPassword(server.Addr, "", secret))
	refuses(t, "none", Options{URLs: []string{"redis://" + server.Addr}}, "redis: the server requires a password; add it to the URL")
	refuses(t, "wrong", withPassword(server.Addr, "", secret+"x"), "redis: the server refuses the user or the password of the URL")
	refuses(t, "unknown user", withPassword(server.Addr, "alice", secret), "redis: the server refuses the user or the password of the URL")

	user := func(name string, rules ...any) Options {
		t.Helper()
		args := append([]any{"acl", "setuser", name, "reset", "on", ">" + secret}, rules...)
		must(t, server.Client().Do(t.Context(), args...).Err())
		return withPassword(server.Addr, name, secret)
	}
	warns(t, "all that is needed", user("fit", "~chatgate:*", "+@all", "-@dangerous", "+info", "+config|get"))
	warns(t, "no CONFIG", user("noconfig", "~chatgate:*", "+@all", "-@dangerous", "+info"), "does not report its save points")
	warns(t, "no INFO", user("noinfo", "~chatgate:*", "+@all", "-@dangerous"), "refuses INFO, so its version")
	refuses(t, "no PING", user("noping", "~chatgate:*", "+@all", "-ping"), "redis: the user of the URL lacks a permission", "ping")
}

func TestOpenSettings(t *testing.T) {
	t.Parallel()
	const (
		nothingKept = "keeps nothing on disk: a restart loses sessions"
		wouldEvict  = "would evict keys if maxmemory were set"
	)
	server := redistest.Start(t)
	o := Options{URLs: []string{server.URL()}}
	set := func(name, value string) {
		t.Helper()
		must(t, server.Client().ConfigSet(t.Context(), name, value).Err())
	}
	warns(t, "no persistence", o, nothingKept)
	set("save", "3600 1")
	warns(t, "save points", o)
	set("save", "")
	set("appendonly", "yes")
	warns(t, "append only", o)
	set("maxmemory-policy", "volatile-ttl")
	warns(t, "eviction without a limit", o, wouldEvict)
	set("maxmemory", "100mb")
	refuses(t, "eviction", o, "redis: ", "(maxmemory-policy volatile-ttl); set maxmemory-policy to noeviction")
	set("maxmemory-policy", "noeviction")
	warns(t, "a limit", o)
	must(t, server.Client().ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
	refuses(t, "a replica", o, "redis: the server is a replica")
	refuses(t, "no cluster", Options{URLs: o.URLs, Mode: Cluster}, "redis: the server is not part of a cluster")

	nodes := redistest.StartCluster(t, "save", "3600 1")
	refuses(t, "a cluster", Options{URLs: []string{nodes[0].URL()}}, "redis: the server is part of a cluster; use mode cluster")
	for i, n := range nodes {
		must(t, n.Client().ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
		must(t, n.Client().ConfigSet(t.Context(), "maxmemory", "100mb").Err())
		refuses(t, fmt.Sprint("eviction on node ", i), Options{URLs: []string{nodes[0].URL()}, Mode: Cluster},
			n.Addr, "(maxmemory-policy allkeys-lru); set maxmemory-policy to noeviction")
		must(t, n.Client().ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	}
	warns(t, "a cluster", Options{URLs: []string{nodes[0].URL()}, Mode: Cluster})
}

func TestOpenUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := l.Addr().String()
	must(t, l.Close())
	for _, mode := range []Mode{Single, Cluster} {
		o := withPassword(addr, "", secret)
		o.Mode = mode
		refuses(t, "nobody", o, "redis: the server cannot be reached", addr, "connection refused")
	}
	o := withPassword(addr, "", secret)
	o.Mode, o.Master = Sentinel, "chat"
	refuses(t, "no sentinel", o, "redis: the server cannot be reached", addr)
	refuses(t, "no such host", withPassword("host.invalid:1", "", secret), "redis: the server cannot be reached", "host.invalid")
	refuses(t, "no socket", Options{URLs: []string{"unix:///nonexistent/redis.sock"}}, "redis: the server cannot be reached", "/nonexistent/redis.sock")

	server := redistest.Start(t)
	server.Freeze()
	begun := time.Now()
	refuses(t, "frozen", Options{URLs: []string{server.URL()}, CommandTimeout: 100 * time.Millisecond}, "redis: the server does not answer in time")
	if took := time.Since(begun); took > slack {
		t.Errorf("it took %v", took)
	}
	server.Thaw()
	sentinel := redistest.StartSentinel(t)
	refuses(t, "another master", Options{URLs: []string{"redis://" + sentinel.Sentinel}, Mode: Sentinel, Master: "other"}, "redis: ")
	refuses(t, "a sentinel", Options{URLs: []string{"redis://" + sentinel.Sentinel}}, "redis: ")
}

func TestOpenSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	redistest.Start(t, "unixsocket", socket, "requirepass", secret, "save", "3600 1")
	warns(t, "socket", Options{URLs: []string{"unix://:" + secret + "@" + socket + "?db=2"}})
	refuses(t, "no password", Options{URLs: []string{"unix://" + socket}}, "redis: the server requires a password")
}

func TestOpenTLS(t *testing.T) {
	t.Parallel()
	server := redistest.StartTLS(t, "tls-auth-clients", "no", "save", "3600 1")
	secure := func(addr string) Options { return Options{URLs: []string{"rediss://" + addr}, CAFile: server.CA} }
	warns(t, "right", secure(server.Addr))
	unknown := secure(server.Addr)
	unknown.CAFile = ""
	refuses(t, "no CA", unknown, "redis: the server's certificate is signed by an unknown authority; name its CA file")
	_, port, err := net.SplitHostPort(server.Addr)
	must(t, err)
	refuses(t, "another name", secure("localhost:"+port), "redis: the server's certificate is for another host")
	refuses(t, "plain to TLS", Options{URLs: []string{"redis://" + server.Addr}}, "redis: the server closed the connection; if it speaks TLS, write rediss://")
	plain := redistest.Start(t)
	refuses(t, "TLS to plain", Options{URLs: []string{"rediss://" + plain.Addr}, CommandTimeout: time.Second, ConnectTimeout: time.Second},
		"redis: the server does not answer in time; if it does not speak TLS, write redis://")
	refuses(t, "TLS to what is no Redis", Options{URLs: []string{"rediss://" + fake(t, "")}},
		"redis: the server does not speak TLS; write redis://")

	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	bad := secure(server.Addr)
	bad.CAFile = file(secret)
	refuses(t, "no certificate", bad, "redis: CA file "+bad.CAFile+" has no certificate; it must be PEM")
	bad.CAFile = "/nonexistent"
	refuses(t, "no file", bad, "redis: CA file: open /nonexistent")
	bad = secure(server.Addr)
	bad.CertFile, bad.KeyFile = file(secret), file(secret)
	refuses(t, "no client certificate", bad, "redis: client certificate: tls: failed to find any PEM data")

	strict := redistest.StartTLS(t, "tls-auth-clients", "yes", "save", "3600 1")
	o := Options{URLs: []string{"rediss://" + strict.Addr}, CAFile: strict.CA}
	refuses(t, "no client certificate", o, "redis: the server requires a client certificate, or refuses this one")
	o.CertFile, o.KeyFile = strict.Cert, strict.Key
	warns(t, "client certificate", o)
	o.CertFile, o.KeyFile = server.Cert, server.Key
	refuses(t, "another's client certificate", o, "redis: the server requires a client certificate, or refuses this one")
}

// TestOpenVersion asks a server that is older than any at hand, and one that says little.
func TestOpenVersion(t *testing.T) {
	t.Parallel()
	info := "redis_version:%s\r\nrole:master\r\naof_enabled:1\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
	old := Options{URLs: []string{"redis://" + fake(t, fmt.Sprintf(info, "6.0.16"))}}
	refuses(t, "old", old, `redis: the server is version "6.0.16"; use 6.2 or later`)
	refuses(t, "silent", Options{URLs: []string{"redis://" + fake(t, "")}}, `redis: the server is version ""; use 6.2 or later`)
	refuses(t, "loading", Options{URLs: []string{"redis://" + fake(t, "loading:1\r\n"+fmt.Sprintf(info, "7.0.0"))}}, "still loading")
	refuses(t, "replica", Options{URLs: []string{"redis://" + fake(t, fmt.Sprintf(strings.Replace(info, "master", "slave", 1), "7.0.0"))}}, "a replica")
	ctx := t.Context()
	for _, version := range []string{"6.2.0", "7.0.15", "10.0.0"} {
		s, err := Open(ctx, Options{URLs: []string{"redis://" + fake(t, fmt.Sprintf(info, version))}})
		must(t, err)
		must(t, s.Close())
	}
}

// fake answers PING and INFO, knows neither HELLO nor CONFIG, and does nothing else.
func fake(t *testing.T, info string) (addr string) {
	return tcptest.Serve(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		length := func() int {
			line, err := r.ReadString('\n')
			if err != nil || len(line) < 3 {
				return -1
			}
			n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
			return n
		}
		if first, err := r.Peek(1); err == nil && first[0] != '*' {
			_, _ = io.WriteString(conn, "what?\r\n")
			return
		}
		for n := length(); n > 0; n = length() {
			var command string
			for i := range n {
				arg := make([]byte, length()+2)
				if _, err := io.ReadFull(r, arg); err != nil {
					return
				}
				if i == 0 {
					command = strings.ToLower(string(arg[:len(arg)-2]))
				}
			}
			var err error
			switch command {
			case "ping":
				_, err = fmt.Fprint(conn, "+PONG\r\n")
			case "info":
				_, err = fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(info), info)
			case "hello", "config":
				_, err = fmt.Fprintf(conn, "-ERR unknown command '%s'\r\n", command)
			default:
				_, err = fmt.Fprint(conn, "+OK\r\n")
			}
			if err != nil {
				return
			}
		}
	})
}

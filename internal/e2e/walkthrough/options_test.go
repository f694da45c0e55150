package walkthrough

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"
)

const optionsPage = "docs/options.md"

// TestEveryOptionIsDocumented looks for the JSON key of every field of every module of ours.
func TestEveryOptionIsDocumented(t *testing.T) {
	page, n := read(t, optionsPage), 0
	for _, id := range caddy.Modules() {
		if !strings.Contains(id, "chatgate") {
			continue
		}
		info, err := caddy.GetModule(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys(reflect.TypeOf(info.New())) {
			n++
			// As `key`, or as the word that an option begins with.
			if !regexp.MustCompile("`" + regexp.QuoteMeta(key) + "[` ]").MatchString(page) {
				t.Errorf("%s does not have the option %s of %s", optionsPage, key, id)
			}
		}
	}
	if n < 60 {
		t.Errorf("there are %d options", n)
	}
}

// keys returns the JSON keys of a type, with those of types of ours that are in it.
func keys(typ reflect.Type) (all []string) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || !strings.HasPrefix(typ.PkgPath(), "github.com/chatgate/chatgate") {
		return nil
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || key == "-" {
			continue
		}
		if key != "" {
			all = append(all, key)
		}
		all = append(all, keys(f.Type)...)
	}
	return all
}

// places is where the options of a section belong, or those below another option.
var places = map[string]string{
	"the `chatgate` block":          "{\n\tchatgate {\n\t\tsessions redis {env.REDIS}\n\t\t%s\n\t}\n}\n",
	"accounts postgres <dsn> { … }": "{\n\tchatgate {\n\t\tsessions embedded\n\t\taccounts postgres {env.DSN} {\n\t\t\t%s\n\t\t}\n\t}\n}\n",
	"sessions redis <url>... { … }": "{\n\tchatgate {\n\t\tsessions redis {env.REDIS} {\n\t\t\t%s\n\t\t}\n\t}\n}\n",
	"first_invite {env.NAME} { … }": "{\n\tchatgate {\n\t\tfirst_invite {env.NAME} {\n\t\t\t%s\n\t\t}\n\t}\n}\n",
	"mail smtp <url> { … }":         "{\n\tchatgate {\n\t\tmail smtp smtp://localhost {\n\t\t\tfrom chat@example.com\n\t\t\t%s\n\t\t}\n\t}\n}\n",
	"sms webhook <url> { … }":       "{\n\tchatgate {\n\t\tsms webhook https://sms.example.com {\n\t\t\t%s\n\t\t}\n\t}\n}\n",
	"hash { … }":                    "{\n\tchatgate {\n\t\thash {\n\t\t\t%s\n\t\t}\n\t}\n}\n",
	"`chatgate_accounts`":           ":80 {\n\tchatgate_accounts auth {\n\t\t%s\n\t}\n}\n",
	"`chatgate_methods`":            ":80 {\n\tchatgate_methods {\n\t\tupstream 127.0.0.1:9000\n\t\t%s\n\t}\n}\n",
	"`chatgate_proxy`":              ":80 {\n\tchatgate_proxy 127.0.0.1:9000 {\n\t\t%s\n\t}\n}\n",
	"`chatgate_line`":               "{\n\tlayer4 {\n\t\t:7001 {\n\t\t\troute {\n\t\t\t\tchatgate_line 127.0.0.1:7000 {\n\t\t\t\t\t%s\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n",
	"`chatgate_tls`":                "{\n\tlayer4 {\n\t\t:7001 {\n\t\t\troute {\n\t\t\t\tchatgate_tls {\n\t\t\t\t\t%s\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n",
}

var (
	row    = regexp.MustCompile("^\\| (– )?`([^`]+)` \\|(.*)$")
	scalar = regexp.MustCompile(`^(\w+) (?:<(n|duration|size)>.*|off \\\| <(duration)>)$`)
	bounds = regexp.MustCompile(`^(?:at least (\S+?)|up to (\S+?)|(\S+) to (\S+?))(?:;.*)?$`)
)

// TestBounds tries every number, duration and size that has bounds: what the page allows is taken, and what is a little
// beyond it is not.
func TestBounds(t *testing.T) {
	var section, above string
	n := 0
	for _, line := range strings.Split(read(t, optionsPage), "\n") {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.ToLower(name)
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		option := strings.ReplaceAll(m[2], "\\|", "|")
		place := places[section]
		if m[1] != "" {
			place = places[above]
		} else {
			above = option
		}
		s := scalar.FindStringSubmatch(m[2])
		if s == nil {
			continue
		}
		for _, cell := range strings.Split(m[3], " | ") {
			b := bounds.FindStringSubmatch(strings.TrimSpace(cell))
			if b == nil {
				continue
			}
			if place == "" {
				t.Errorf("where does %s of %s belong?", option, section)
				continue
			}
			n++
			tryBounds(t, place, s[1], s[2]+s[3], b[1]+b[3], b[2]+b[4])
		}
	}
	if n < 25 {
		t.Errorf("only %d options have bounds", n)
	}
}

func tryBounds(t *testing.T, place, option, kind, least, most string) {
	t.Helper()
	try := func(value string, want bool) {
		t.Helper()
		text := fmt.Sprintf(place, option+" "+value)
		_, _, err := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		if (err == nil) != want {
			t.Errorf("%s %s is taken: %t, %v", option, value, err == nil, err)
		}
	}
	for _, bound := range []struct {
		text   string
		beyond int64
	}{{least, -1}, {most, 1}} {
		v, write, ok := parse(kind, bound.text)
		if !ok {
			continue // such as the value of another option
		}
		try(write(v), true)
		try(write(v+max(v/1000, 1)*bound.beyond), false)
	}
}

// parse reads a value of a kind, and returns how others of it are written.
func parse(kind, text string) (v int64, write func(int64) string, ok bool) {
	switch kind {
	case "n":
		n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
		return n, func(n int64) string { return strconv.FormatInt(n, 10) }, err == nil
	case "duration":
		d, err := caddy.ParseDuration(text)
		return int64(d), func(d int64) string { return time.Duration(d).String() }, err == nil
	default:
		n, err := humanize.ParseBytes(text)
		return int64(n), func(n int64) string { return strconv.FormatInt(n, 10) + "B" }, err == nil
	}
}

package option

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// room has an option of every kind.
type room struct {
	mode    string
	topic   string
	members int
	history uint8
	message int64
	wait    caddy.Duration
	idle    caddy.Duration
	rate    syntax.Rate
	open    bool
	invites *bool
	clear   bool
	hidden  bool
	tags    []string
	lines   []string
}

func (r *room) Options() Table {
	return Table{
		Word("mode", &r.mode, "chat", "read"),
		Text("topic", &r.topic).Must(func(s string) error {
			if strings.Contains(s, "!") {
				return errors.New("topic shouts")
			}
			return nil
		}),
		Count("members", &r.members).Default("16").Between("1", "1024"),
		Number("history", &r.history).Default("8").Between("2", "200").Called("room history"),
		Size("message", &r.message).Or("unlimited", -1).Default("64KiB").AtLeast("1KiB"),
		Duration("wait", &r.wait).Default("10s").Between("1s", "1m0s"),
		Duration("idle", &r.idle).Or("off", -1).Unbounded("any time will do"),
		Rate("rate", &r.rate).Default("60/1m"),
		OnOff("open", &r.open).OrBare(),
		OnUnless("invites", &r.invites),
		Either("clear", &r.clear, "refuse", "allow"),
		Flag("hidden", &r.hidden),
		List("tags", &r.tags, "takes at least one tag").Each(func(tag string) error {
			if tag == "bad" {
				return errors.New("tag bad is not allowed")
			}
			return nil
		}),
		Func("line", "any text", func(d *caddyfile.Dispenser) error {
			var text string
			err := syntax.One(d, &text)
			r.lines = append(r.lines, text)
			return err
		}).Again().Keys("lines").Must(func() error {
			if len(r.lines) > 2 {
				return errors.New("there are too many lines")
			}
			return nil
		}),
	}
}

var _ Holder = (*room)(nil)

// read reads a block in which each of the lines is one.
func read(r *room, block Block, lines ...string) (Lines, error) {
	d := caddyfile.NewTestDispenser("room {\n" + strings.Join(lines, "\n") + "\n}")
	d.Next()
	block.Of, block.Table = "room", r.Options()
	return block.Read(d)
}

func TestRead(t *testing.T) {
	var r room
	lines, err := read(&r, Block{},
		"mode read", `topic "the weather"`, "members 3", "history 200", "message 1KiB", "wait 1m", "idle off", "rate 5/1s",
		"open", "invites off", "clear allow", "hidden", "tags a b", "line one", "line two")
	if err != nil {
		t.Fatal(err)
	}
	if r.mode != "read" || r.topic != "the weather" || r.members != 3 || r.history != 200 || r.message != 1024 || r.wait != caddy.Duration(time.Minute) ||
		r.idle != -1 || r.rate != "5/1s" || !r.open || r.invites == nil || *r.invites || !r.clear || !r.hidden || len(r.tags) != 2 || len(r.lines) != 2 {
		t.Errorf("got %+v", r)
	}
	if err := lines.Blame("wait", errors.New("too long")); err.Error() != "too long, at Testfile:7" {
		t.Errorf("blamed %v", err)
	}
	if last := lines.Last("topic", "members", "bans"); last != "members" {
		t.Errorf("%s was read last", last)
	}
	if _, err := read(&r, Block{}, "message unlimited", "open off", "clear refuse"); err != nil || r.message != -1 || r.open || r.clear {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"mode write":             `mode is "write"; it is one of ["chat" "read"]`,
		"mode chat read":         `mode is "chat read"; it is one of ["chat" "read"]`,
		"topic":                  `topic needs a value`,
		"topic a b":              `topic takes one value, not 2; one with spaces goes into quotes`,
		`topic ""`:               `topic is empty; give it a value, or leave it out`,
		"topic hey!":             `topic shouts`,
		"members 0":              `members is 0; leave it out for the default`,
		"members -1":             `members is -1; it must be between 1 and 1024`,
		"members 1025":           `members is 1025; it must be between 1 and 1024`,
		"members many":           `members is "many"; it is a whole number, without a unit`,
		"history 0":              `room history is 0; it must be between 2 and 200`,
		"history 258":            `room history is 258; it must be between 2 and 200`, // 2 as a uint8
		"message 0":              `message is "0"; it is a size such as 64KiB, or unlimited`,
		"message -1":             `message is "-1"; it is a size such as 64KiB, or unlimited`,
		"message 2TiB":           `message is "2TiB"; it is a size such as 64KiB, or unlimited`,
		"message 1023B":          `message is 1023; it must be at least 1KiB`,
		"wait 0s":                `wait is "0s", which is no positive duration such as 10s, 15m or 30d`,
		"wait soon":              `wait is "soon", which is no positive duration such as 10s, 15m or 30d`,
		"wait 999ms":             `wait is 999ms; it must be between 1s and 1m0s`,
		"idle off on":            `idle takes one value, not 2; one with spaces goes into quotes`,
		"idle -1s":               `idle is "-1s", which is no positive duration such as 10s, 15m or 30d`,
		"rate 5":                 `rate "5" is not a rate; write it as <count>/<duration>, such as 60/1m`,
		"open yes":               `open is "yes"; it is one of ["on" "off"]`,
		"invites":                `invites is ""; it is one of ["on" "off"]`,
		"clear on":               `clear is "on"; it is one of ["refuse" "allow"]`,
		"hidden yes":             `hidden takes no value; leave it out where it is not wanted`,
		"tags":                   `tags takes at least one tag`,
		"tags good bad":          `tag bad is not allowed`,
		"open\nopen":             `open is there twice; keep one of them`,
		"line 1\nline 2\nline 3": `there are too many lines`,
		"depth 3": `unknown option "depth" of room; there are mode, topic, members, history, message, wait, idle, rate, open, invites, clear, ` +
			`hidden, tags and line`,
	} {
		_, err := read(new(room), Block{}, text)
		want += ", at Testfile:" + string(rune('2'+strings.Count(text, "\n")))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
	if _, err := read(new(room), Block{}, "redis://:hunter2@localhost"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret out of place: %v", err)
	}
	rule := func() error { return errors.New("members and mode do not go together") }
	if _, err := read(new(room), Block{Rule: rule}, "mode read"); err == nil || err.Error() != "members and mode do not go together, at Testfile:2" {
		t.Errorf("a rule: %v", err)
	}
}

// JSON is judged in the same words, and a zero value passes.
func TestCheck(t *testing.T) {
	if err := new(room).Options().Check(); err != nil {
		t.Error(err)
	}
	for want, r := range map[string]*room{
		`mode is "write"; it is one of ["chat" "read"]`: {mode: "write"},
		`topic shouts`: {topic: "!"},
		`members is -1; it must be between 1 and 1024`:                          {members: -1},
		`room history is 1; it must be between 2 and 200`:                       {history: 1},
		`message is -2; it must be at least 1KiB`:                               {message: -2},
		`wait is 1m1s; it must be between 1s and 1m0s`:                          {wait: caddy.Duration(61 * time.Second)},
		`idle is -2ns; it must be positive`:                                     {idle: -2},
		`rate "5" is not a rate; write it as <count>/<duration>, such as 60/1m`: {rate: "5"},
		`tag bad is not allowed`:                                                {tags: []string{"bad"}},
		`there are too many lines`:                                              {lines: make([]string, 3)},
	} {
		if err := r.Options().Check(); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if err := (&room{message: -1, idle: -1}).Options().Check(); err != nil {
		t.Errorf("words: %v", err)
	}
}

func TestFill(t *testing.T) {
	r := room{members: 2, idle: -1}
	r.Options().Fill()
	if r.mode != "chat" || r.members != 2 || r.history != 8 || r.message != 64<<10 || r.wait != caddy.Duration(10*time.Second) || r.idle != -1 || r.rate != "60/1m" {
		t.Errorf("filled %+v", r)
	}
}

// TakeOut leaves what is another parser's as it is, braces included.
func TestTakeOut(t *testing.T) {
	d := caddyfile.NewTestDispenser("room 127.0.0.1 {\nmode read\nother a {\nmode x\n}\nmembers 3\n}")
	d.Next()
	var r room
	block := Block{Of: "room", Table: r.Options()}
	rest, lines, err := block.TakeOut(d.NextSegment())
	if err != nil || r.mode != "read" || r.members != 3 || lines[1].at.Line != 6 {
		t.Fatalf("%+v, %v, %v", r, lines, err)
	}
	var words []string
	for _, token := range rest {
		words = append(words, token.Text)
	}
	if got := strings.Join(words, " "); got != "room 127.0.0.1 { other a { mode x } }" {
		t.Errorf("left %s", got)
	}
	if err := block.NotOurs("other", errors.New("what?")); !strings.HasPrefix(err.Error(), "room has the options mode, topic, ") || !strings.HasSuffix(err.Error(), "line; of the others other says: what?") {
		t.Error(err)
	}
}

func TestDefaultsAreWrittenShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"1m": time.Minute, "1m30s": 90 * time.Second, "1h": time.Hour, "36h": 36 * time.Hour, "14d": 14 * 24 * time.Hour, "750ms": 750 * time.Millisecond,
		"10s": 10 * time.Second, "10m": 10 * time.Minute, "1h1m": 61 * time.Minute,
	} {
		if got := Duration("x", new(caddy.Duration)).DefaultOf(caddy.Duration(d)).Describe().Default; got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int]string{1 << 30: "1GiB", 16 << 20: "16MiB", 64 << 10: "64KiB", 1000: "1000B"} {
		if got := Size("x", new(int)).DefaultOf(n).Describe().Default; got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	if got := RateOf(authcore.Rate{Burst: 500, Per: 24 * time.Hour}); got != "500/1d" {
		t.Error(got)
	}
}

// A block behind a line is judged as a whole, and blames an option or the line.
func TestReadAt(t *testing.T) {
	for _, tc := range []struct {
		block string
		judge error
		want  string
	}{
		{"room a", nil, ""},
		{"room a {\nmembers 3\n}", nil, ""},
		{"room a {\nmembers 3\n}", errors.New("it is full"), "the room: it is full, at Testfile:1"},
		{"room a", Wrong("members", "there are too few"), "the room: there are too few, at Testfile:1"},
		{"room a {\ntopic x\nmembers 3\n}", Wrong("members", "there are too few"), "the room: there are too few, at Testfile:3"},
		{"room a {\nmembers 1025\n}", errors.New("it is full"), "the room: members is 1025; it must be between 1 and 1024, at Testfile:2"},
		{"room a {\nmembers 0\n}", nil, "members is 0; leave it out for the default, at Testfile:2"},
	} {
		var r room
		d := caddyfile.NewTestDispenser(tc.block)
		d.Next()
		line := d.Token()
		d.NextArg()
		err := Block{Of: "the room", Table: r.Options(), Prefixed: true}.ReadAt(d, line, func() error { return tc.judge })
		if got := text(err); got != tc.want {
			t.Errorf("%q: %s; want %s", tc.block, got, tc.want)
		}
	}
}

// A block without options refuses each, and does not show what may be an address.
func TestReadNothing(t *testing.T) {
	for name, want := range map[string]string{
		"members":     `unknown option "members" of the room, which has none; remove it, at Testfile:2`,
		"redis://u:p": `unknown option of the room, which has none; remove it, at Testfile:2`,
	} {
		d := caddyfile.NewTestDispenser("room {\n" + name + "\n}")
		d.Next()
		if _, err := (Block{Of: "the room"}).Read(d); text(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

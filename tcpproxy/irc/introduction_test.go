package irc

import (
	"strings"
	"testing"
)

func TestIntroduction(t *testing.T) {
	for name, c := range map[string]struct {
		in    Introduction
		lines []string // "S " from the upstream, "G " to it, "C " to the client
		o     Outcome
		then  string // what the client is told on welcome
	}{
		"plain": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S :i.t NOTICE * :Looking up", "C :i.t NOTICE * :Looking up", "S PING :a b", "G PONG :a b", "S :i.t 001 alice :Hi"},
			o:     Accepted, then: ":i.t 001 alice :Hi\r\n",
		},
		"not UTF-8": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S PING :caf\xe9", "G PONG :caf\xe9", "S :i.t 001 alice :Hi \xe9"},
			o:     Accepted, then: ":i.t 001 alice :Hi \xe9\r\n",
		},
		"a CR in the welcome": { // which is one line to some and two to others, so that it is none
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S :i.t 001 bob\r:i.t 001 alice :Hi", "S :i.t 001 alice\r", "S :i.t 001 alice :Hi"},
			o:     Accepted, then: ":i.t 001 alice :Hi\r\n",
		},
		"all": {
			in: Introduction{Before: []byte("WEBIRC a b c d\r\nPASS x\r\n"), Caps: true},
			lines: []string{
				"G WEBIRC a b c d", "G PASS x", "G CAP LS 302", "G NICK alice", "G USER alice 0 * :My Name",
				"S :i.t CAP * LS * :sasl=PLAIN multi-prefix", "S :i.t CAP * LS :server-time sts=port=1 message-tags tls", "G CAP END", "S :i.t 001 alice :Hi",
			},
			o: Accepted, then: ":i.t 001 alice :Hi\r\n:i.t CAP alice NEW :multi-prefix server-time message-tags\r\n",
		},
		"no capabilities there": {
			in: Introduction{Caps: true},
			lines: []string{
				"G CAP LS 302", "G NICK alice", "G USER alice 0 * :My Name", "S :i.t 421 * CAP :Unknown", "S :i.t 421 * CAP :Unknown", "C :i.t 421 * CAP :Unknown", "S 001 alice",
			},
			o: Accepted, then: "001 alice\r\n",
		},
		"only ours": {
			in:    Introduction{Caps: true},
			lines: []string{"G CAP LS 302", "G NICK alice", "G USER alice 0 * :My Name", "S :i.t CAP * LS :sasl", "G CAP END", "S :i.t 001 alice :Hi"},
			o:     Accepted, then: ":i.t 001 alice :Hi\r\n",
		},
		"second": {
			in: Introduction{Numbered: true},
			lines: []string{
				"G NICK alice", "G USER alice 0 * :My Name", "S :i.t 433 * alice :In use", "G NICK alice|2", "S :i.t 437 * alice|2 :In use", "G NICK alice|3", "S :i.t 001 alice|3 :Hi",
			},
			o: Accepted, then: ":i.t 001 alice|3 :Hi\r\n",
		},
		"taken": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S :i.t 433 * alice :In use", "C :i.t 433 * alice :In use"},
			o:     Taken,
		},
		"collision": {
			in:    Introduction{Numbered: true},
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S :i.t 436 * alice :Killed", "C :i.t 436 * alice :Killed"},
			o:     Taken,
		},
		"no nick": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S :i.t 432 * alice :Bad", "C :i.t 432 * alice :Bad"},
			o:     Refused,
		},
		"password": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S :i.t 464 * :Bad"},
			o:     Refused,
		},
		"error": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S ERROR :Bad password?"},
			o:     Refused,
		},
		"cut short": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S :i.t 001 alic :Hi"},
			o:     Renamed,
		},
		"nonsense": {
			lines: []string{"G NICK alice", "G USER alice 0 * :My Name", "S ", "S a\x00b", "S :x", "S CAP", "S PING", "G PONG :", "S :i.t 001"},
			o:     Renamed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := c.in
			in.Account, in.Realname, in.Server = "alice", "My Name", "gate.test"
			var got, want []string
			note := func(who, say string) {
				for line := range strings.Lines(say) {
					got = append(got, who+strings.TrimSuffix(line, "\r\n"))
				}
			}
			note("G ", string(in.Begin()))
			var last Outcome
			for i, line := range c.lines {
				if !strings.HasPrefix(line, "S ") {
					want = append(want, line)
					continue
				}
				up, down, o := in.Line([]byte(line[2:]))
				note("G ", string(up))
				note("C ", string(down))
				if last = o; o != Pending && i < len(c.lines)-2 {
					t.Errorf("over after %q", line)
				}
			}
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w || last != c.o || string(in.Welcome()) != c.then {
				t.Errorf("got\n%s\n%v, and %q; want\n%s\n%v, and %q", g, last, in.Welcome(), w, c.o, c.then)
			}
		})
	}
}

// An upstream in which every nick is taken is not asked for ever, and one that never ends its list is not believed.
func TestIntroductionEnds(t *testing.T) {
	in := Introduction{Account: "alice", Numbered: true, Caps: true}
	in.Begin()
	n := 0
	for o := Pending; o == Pending; n++ {
		_, _, o = in.Line([]byte(":i.t 433 * x :In use"))
	}
	if n != maxNicks+1 {
		t.Errorf("after %d", n)
	}
	for range 1000 {
		in.Line([]byte(":i.t CAP * LS * :" + strings.Repeat("a ", 200)))
	}
	if len(in.caps) > maxCaps/2 {
		t.Errorf("%d capabilities", len(in.caps))
	}
}

func TestManyCapabilities(t *testing.T) {
	in := Introduction{Account: "alice", Server: "gate.test", Caps: true}
	in.Begin()
	var caps []string
	for i := range 100 {
		caps = append(caps, "vendor.example/capability-"+strings.Repeat("x", i%7))
	}
	in.Line([]byte("CAP * LS :" + strings.Join(caps, " ") + " " + strings.Repeat("y", 600)))
	in.Line([]byte("001 alice"))
	var got []string
	for line := range strings.Lines(string(in.Welcome())) {
		m, err := Parse([]byte(strings.TrimSuffix(line, "\r\n")))
		if err != nil || len(line) > MaxLine {
			t.Fatalf("%d bytes: %v", len(line), err)
		}
		if m.Command == "CAP" {
			got = append(got, strings.Fields(m.Params[2])...)
		}
	}
	if strings.Join(got, " ") != strings.Join(caps, " ") {
		t.Errorf("got %d of %d", len(got), len(caps))
	}
}

func TestWebIRC(t *testing.T) {
	for want, got := range map[string][]byte{
		"WEBIRC p g 192.0.2.1 192.0.2.1\r\n":   WebIRC("p", "g", "192.0.2.1", false),
		"WEBIRC p g 0::1 0::1 :secure\r\n":     WebIRC("p", "g", "::1", true),
		"WEBIRC p g 2001:db8:: 2001:db8::\r\n": WebIRC("p", "g", "2001:db8::", false),
	} {
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzIntroduction(f *testing.F) {
	f.Add([]byte(":i.t CAP * LS * :a b\nPING x\n433 * alice\n001 alice|2"), true)
	f.Fuzz(func(t *testing.T, text []byte, caps bool) {
		in := Introduction{Account: "alice", Server: "gate.test", Numbered: true, Caps: caps}
		in.Begin()
		for line := range strings.SplitSeq(string(text), "\n") {
			up, _, o := in.Line([]byte(line))
			for line := range strings.Lines(string(up)) {
				if !strings.HasSuffix(line, "\r\n") || len(line) > MaxLine || strings.ContainsAny(line[:len(line)-2], "\r\n\x00") {
					t.Fatalf("the upstream is told %q", up)
				}
			}
			if o == Accepted && !strings.HasPrefix(in.Nick(), "alice") {
				t.Fatalf("it is %s", in.Nick())
			}
			if o != Pending {
				return
			}
		}
	})
}

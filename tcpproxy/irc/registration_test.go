package irc

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

const server = ":gate.test "

// talk plays a transcript: lines of a client begin with "C ", and what it is answered follows, a line each. What is claimed
// begins with "? ", and the next line begins with "! " and has an account, or a failure's number.
func talk(t *testing.T, transcript string) *Registration {
	t.Helper()
	r := &Registration{Server: "gate.test", Host: "192.0.2.1"}
	var got []string
	note := func(say []byte, step Step) Step {
		for line := range strings.Lines(string(say)) {
			line, ok := strings.CutSuffix(line, "\r\n")
			if !ok || len(line) > MaxLine-2 || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("said %q", line)
			}
			got = append(got, line)
		}
		if step == Complete {
			got = append(got, "complete")
		}
		if step == Close {
			got = append(got, "close")
		}
		return step
	}
	var want []string
	for line := range strings.SplitSeq(strings.TrimSpace(transcript), "\n") {
		line = strings.TrimLeft(line, "\t")
		switch {
		case strings.HasPrefix(line, "C "):
			if note(r.Line([]byte(line[2:]))) == Login {
				c := r.Claimed()
				got = append(got, "? "+c.ClaimedTarget+"|"+c.ClaimedAccount+"|"+c.Password())
			}
		case strings.HasPrefix(line, "! "):
			var n Failure
			if _, err := fmt.Sscan(line[2:], &n); err == nil {
				note(r.Failed(n))
			} else {
				note(r.LoggedIn(line[2:]))
			}
		default:
			want = append(want, strings.Replace(line, "S ", server, 1))
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\n\nwant\n%s", g, w)
	}
	return r
}

func sasl64(target, account, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(target + "\x00" + account + "\x00" + password))
}

func TestRegistration(t *testing.T) {
	for name, transcript := range map[string]string{
		"SASL": `
			C CAP LS 302
			S CAP * LS :cap-notify sasl=PLAIN
			C NICK guest
			C USER u 0 * :My Name
			C CAP REQ :sasl
			S CAP guest ACK :sasl
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "alice", "pass word") + `
			? |alice|pass word
			! alice
			S 900 guest guest!u@192.0.2.1 alice :You are now logged in as alice
			S 903 guest :SASL authentication successful
			C AUTHENTICATE PLAIN
			S 907 guest :You have already authenticated using SASL
			C CAP LIST
			S CAP guest LIST :cap-notify sasl
			C CAP END
			complete`,
		"SASL before a name": `
			C AUTHENTICATE plain
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("bob", "alice@example.com", "x") + `
			? bob|alice@example.com|x
			! alice
			S 900 * *!*@192.0.2.1 alice :You are now logged in as alice
			S 903 * :SASL authentication successful
			C USER u 0 * :
			C NICK guest
			complete`,
		"PASS": `
			C PASS alice:pass:word
			C NICK guest
			C USER u 0 * :My Name
			? |alice|pass:word
			! alice
			S 900 guest guest!u@192.0.2.1 alice :You are now logged in as alice
			complete`,
		"PASS with spaces": `
			C PASS :alice@example.com:correct horse
			C USER u 0 * x
			C NICK guest
			? |alice@example.com|correct horse
			! 1
			S 464 guest :Wrong account or password
			ERROR :Closing link (Wrong account or password)
			close`,
		"SASL wins": `
			C PASS bob:x
			C CAP REQ sasl
			S CAP * ACK :sasl
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "alice", "y") + `
			? |alice|y
			! alice
			S 900 * *!*@192.0.2.1 alice :You are now logged in as alice
			S 903 * :SASL authentication successful
			C NICK guest
			C USER u 0 * x
			C CAP END
			complete`,
		"nobody": `
			C NICK guest
			C USER u 0 * x
			S 464 guest :Log in: with SASL PLAIN, or with the server password account:password
			ERROR :Closing link (not logged in)
			close`,
		"a password of nobody": `
			C PASS secret
			C NICK guest
			C USER u 0 * x
			S 464 guest :Log in: with SASL PLAIN, or with the server password account:password
			ERROR :Closing link (not logged in)
			close`,
		"failures of SASL": `
			C NICK guest
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "a", "b") + `
			? |a|b
			! 1
			S 904 guest :Wrong account or password
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "a", "b") + `
			? |a|b
			! 2
			S 904 guest :Too many attempts, try again later
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "a", "b") + `
			? |a|b
			! 3
			S 902 guest :This account is closed
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "a", "b") + `
			? |a|b
			! 4
			S 904 guest :The phone number of this account is not validated yet
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "a", "b") + `
			? |a|b
			! 0
			ERROR :Closing link (the login is unavailable, try again later)
			close`,
		"unavailable": `
			C PASS a:b
			C NICK guest
			C USER u 0 * x
			? |a|b
			! 0
			ERROR :Closing link (the login is unavailable, try again later)
			close`,
		"rate limited": `
			C PASS a:b
			C NICK guest
			C USER u 0 * x
			? |a|b
			! 2
			S 263 guest PASS :Too many attempts, try again later
			ERROR :Closing link (Too many attempts, try again later)
			close`,
		"disabled": `
			C PASS a:b
			C NICK guest
			C USER u 0 * x
			? |a|b
			! 3
			S 465 guest :This account is closed
			ERROR :Closing link (This account is closed)
			close`,
		"broken SASL": `
			C AUTHENTICATE
			S 461 * AUTHENTICATE :Not enough parameters
			C AUTHENTICATE EXTERNAL
			S 908 * PLAIN :are available SASL mechanisms
			S 904 * :SASL authentication failed
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE *
			S 906 * :SASL authentication aborted
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE +
			S 904 * :SASL authentication failed
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE !!!!
			S 904 * :SASL authentication failed
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + base64.StdEncoding.EncodeToString([]byte("a\x00b")) + `
			S 904 * :SASL authentication failed
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + sasl64("", "", "b") + `
			S 904 * :SASL authentication failed
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C AUTHENTICATE ` + strings.Repeat("A", 401) + `
			S 905 * :SASL message too long
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			` + strings.Repeat("C AUTHENTICATE "+strings.Repeat("A", 400)+"\n", 11) + `S 905 * :SASL message too long`,
		"CAP END within SASL": `
			C CAP LS
			S CAP * LS :cap-notify sasl
			C NICK guest
			C USER u 0 * x
			C AUTHENTICATE PLAIN
			AUTHENTICATE +
			C CAP END
			S 906 guest :SASL authentication aborted
			S 464 guest :Log in: with SASL PLAIN, or with the server password account:password
			ERROR :Closing link (not logged in)
			close`,
		"capabilities": `
			C CAP
			S 461 * CAP :Not enough parameters
			C CAP FOO
			S 410 * FOO :Invalid CAP command
			C CAP REQ :sasl multi-prefix
			S CAP * NAK :sasl multi-prefix
			C CAP LIST
			S CAP * LIST :
			C CAP REQ :cap-notify sasl
			S CAP * ACK :cap-notify sasl
			C CAP REQ -cap-notify
			S CAP * ACK :-cap-notify
			C CAP LS 302
			S CAP * LS :cap-notify sasl=PLAIN
			C CAP REQ -cap-notify
			S CAP * NAK :-cap-notify
			C CAP REQ :-sasl
			S CAP * ACK :-sasl
			C CAP LIST
			S CAP * LIST :cap-notify`,
		"HTTP": `
			C GET / HTTP/1.1
			ERROR :Closing link (this is an IRC server)
			close`,
		"HTTP later": "C \nC NICK x\nC Host: example.com\nS 451 x :You have not registered",
		"a gateway": `
			C CAP LS
			S CAP * LS :cap-notify sasl
			C WEBIRC x y z 192.0.2.9
			ERROR :Closing link (WEBIRC is not for clients)
			close`,
		"a gateway at once": `
			C WEBIRC x y z 192.0.2.9
			ERROR :Closing link (this is an IRC server)
			close`,
		"no message at first": `
			C NICK a` + "\r" + `NICK b
			ERROR :Closing link (this is an IRC server)
			close`,
		"no message": `
			C PING x
			S PONG gate.test :x
			C N` + "\r" + `ICK a
			S 421 * * :A line ends in CR LF, and has no CR or NUL inside
			C NICK a` + "\r" + `
			S 421 * * :A line ends in CR LF, and has no CR or NUL inside
			C PASS alice:` + "\x00" + `x
			S 421 * * :A line ends in CR LF, and has no CR or NUL inside
			C PING :caf` + "\xe9" + `
			S PONG gate.test :caf` + "\xe9" + `
			C CAP REQ :caf` + "\xe9" + `
			S CAP * NAK :caf` + "\xe9" + `
			C QUIT
			ERROR :Closing link (quit)
			close`,
		"others": `
			C STARTTLS
			S 691 * :STARTTLS is not offered
			C @a=b :x PING y
			S PONG gate.test :y
			C PING
			S 409 * :No origin specified
			C PONG x
			C NICK
			S 431 * :No nickname given
			C NICK :a b
			C JOIN #room
			S 451 * :You have not registered
			C USER a b c
			S 461 * USER :Not enough parameters
			C PASS
			S 461 * PASS :Not enough parameters
			C QUIT
			ERROR :Closing link (quit)
			close`,
	} {
		t.Run(name, func(t *testing.T) { talk(t, transcript) })
	}
}

// A long password comes in pieces; one that fills its piece is followed by an empty one.
func TestPieces(t *testing.T) {
	for _, n := range []int{280, 299, 300, 301, 500, 597, 598, 600} {
		r := &Registration{Server: "x"}
		text := sasl64("", "a", strings.Repeat("p", n))
		lines := []string{"PLAIN"}
		for rest := text; ; rest = rest[400:] {
			if len(rest) < 400 {
				if rest == "" {
					rest = "+"
				}
				lines = append(lines, rest)
				break
			}
			lines = append(lines, rest[:400])
		}
		for i, l := range lines {
			if _, step := r.Line([]byte("AUTHENTICATE " + l)); (step == Login) != (i == len(lines)-1) {
				t.Fatalf("%d: line %d of %d: %v", n, i, len(lines), step)
			}
		}
		if got := len(r.Claimed().Password()); got != n {
			t.Errorf("%d bytes of %d", got, n)
		}
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := Credentials{ClaimedAccount: "alice", password: "hunter2"}
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(f, c) + fmt.Sprintf(f, &c); strings.Contains(s, "hunter2") {
			t.Errorf("%s shows %s", f, s)
		}
	}
}

// FuzzRegistration says anything. What is answered are lines, and nobody is let in who was not found to be somebody.
func FuzzRegistration(f *testing.F) {
	f.Add("CAP LS 302\nNICK a\nUSER a b c d\nAUTHENTICATE PLAIN\nAUTHENTICATE "+sasl64("", "alice", "x")+"\nCAP END", false)
	f.Add("PASS a:b\nNICK :\nUSER  0 0 0 :\n", true)
	f.Fuzz(func(t *testing.T, text string, right bool) {
		r := &Registration{Server: "gate.test", Host: "::1"}
		in := false
		check := func(say []byte, step Step) Step {
			if len(say) > 0 && !strings.HasSuffix(string(say), "\r\n") {
				t.Fatalf("said %q", say)
			}
			for line := range strings.SplitSeq(strings.TrimSuffix(string(say), "\r\n"), "\r\n") {
				if len(line) > MaxLine-2 || strings.ContainsAny(line, "\r\n\x00") || len(say) > 0 && line == "" {
					t.Fatalf("said %q", say)
				}
			}
			if step == Complete && !in {
				t.Fatal("nobody was let in")
			}
			return step
		}
		for line := range strings.SplitSeq(text, "\n") {
			step := check(r.Line([]byte(line)))
			if step == Login {
				if in = in || right; right {
					step = check(r.LoggedIn("alice"))
				} else {
					step = check(r.Failed(WrongPassword))
				}
			}
			if step == Close || step == Complete {
				return
			}
		}
	})
}

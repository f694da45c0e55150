package irc

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func newFilter(tags bool) *Filter { return NewFilter("gate.test", "alice|2", "alice", tags) }

// judge gives all of text to a filter, cut into pieces.
func judge(f *Filter, text []byte, cut func(left int) int) (out, say []byte) {
	for len(text) > 0 {
		n := cut(len(text))
		piece := bytes.Clone(text[:n])
		first, rest, words := f.Judge(piece)
		out = append(append(out, first...), rest...)
		say = append(say, words...)
		for i := range piece { // it is the caller's again
			piece[i] = '!'
		}
		text = text[n:]
	}
	return out, say
}

func whole(left int) int { return left }

// verdicts has lines of a client called alice|2, of the account alice, before an upstream with tags: what goes on of each, and
// what the client is told. A line that goes on as it is has nothing for that.
func verdicts() map[string]struct{ out, say string } {
	const (
		nick  = server + "484 alice|2 :Your nick is your account's name, and stays so\r\n"
		none  = server + "431 alice|2 :No nickname given\r\n"
		again = server + "907 alice|2 :You have already authenticated using SASL\r\n"
		anew  = server + "462 alice|2 :You may not reregister\r\n"
		tls   = server + "691 alice|2 :STARTTLS is not offered\r\n"
		long  = server + "417 alice|2 :Input line was too long\r\n"
		bad   = server + "421 alice|2 * :A line ends in CR LF, and has no CR or NUL inside\r\n"
		other = server + "421 alice|2 * :You speak for yourself alone: leave out the source\r\n"
	)
	unknown := func(command string) string { return server + "421 alice|2 " + command + " :Unknown command\r\n" }
	room := strings.Repeat("x", 510-len("PRIVMSG #a :"))
	all := make(map[string]struct{ out, say string })
	refuse := func(say string, lines ...string) {
		for _, line := range lines {
			all[line] = struct{ out, say string }{"", say}
		}
	}
	for _, line := range []string{
		"PRIVMSG #a :NICK bob", "NICKNAME bob", "NICK alice", "NICK ALICE", "nick :Alice|2", "NICK alice 1", "pRIVmsg #a :b", "PRIVMSG #a :\xff\xfe",
		"PRIVMSG #a :a  b ", "PRIVMSG #a :a\u2028NICK bob", "PRIVMSG #a :a\u0085NICK bob", "PRIVMSG #a :", "PRIVMSG #a ::", "TOPIC #a :caf\xe9", "AWAY",
		"AWAY :", "PRIVMSG #a :\x01ACTION waves\x01", "PRIVMSG #a :a\tb", "ISON a b c d e f g h i j k l m n o p q r s t", "PRIVMSG #a :" + room,
		"OPER root secret", "SETNAME :Alice", "CAP REQ :multi-prefix", "@a=b;+c=d PRIVMSG y :z", "@+typing=active TAGMSG #a", "MODE #a +b :*!*@*",
	} {
		all[line+"\r\n"] = struct{ out, say string }{line + "\r\n", ""}
	}
	for line, out := range map[string]string{ // the one form
		"QUIT\n":                           "QUIT\r\n",
		"  JOIN   #a  key  \r\n":           "JOIN #a key\r\n",
		"JOIN #a \n":                       "JOIN #a\r\n",
		"AWAY \r\n":                        "AWAY\r\n",
		"PRIVMSG  #a   : b  c \r\n":        "PRIVMSG #a : b  c \r\n",
		":alice|2 PRIVMSG #a :b\r\n":       "PRIVMSG #a :b\r\n",
		":ALICE|2!x@y  PRIVMSG #a :b\r\n":  "PRIVMSG #a :b\r\n",
		"@a  :alice|2@y PRIVMSG #a :b\r\n": "@a PRIVMSG #a :b\r\n",
		" @a join #a\n":                    "@a join #a\r\n",
	} {
		all[line] = struct{ out, say string }{out, ""}
	}
	refuse("", "\r\n", "\n", "   \r\n", " \n")
	refuse(none, "NICK\r\n", "NICK :\r\n", "NICK  \n")
	refuse(nick, "NICK bob\r\n", "NICK alic\r\n", "NICK alice|3\r\n", "NICK alice\\2\r\n", "nIcK bob\n", "NICK :alice bob\r\n", "NICK   bob\r\n",
		"NICK :alice \r\n", " NICK bob\r\n", ":alice|2 NICK bob\r\n", ":alice|2!a@b   NICK bob\r\n", "@a=b NICK bob\r\n", "@a=b   :alice|2  NICK  :bob\r\n",
		"NICK alice\tbob\r\n", "NICK alice\t\r\n", "NICK 0\r\n", "NICK ::alice\r\n", "NICK alice\u2028\r\n", "NICK \u00a0alice\r\n", "NICK :bob\xff\r\n")
	refuse(bad, "JOIN #a\r\r\n", "\rNICK bob\r\n", "N\rICK bob\r\n", "NICK bob\r\r\n", "NICK\rbob\r\n", "PRIVMSG #a :a\rNICK bob\n", "NICK alice\r \r\n",
		"NICK a\x00lice\r\n", "NICK\x00bob\r\n", "PRIVMSG x :\x00NICK bob\r\n", "\x00\r\n", "QUIT\x00\n", "\r\r\n", "@a=\rNICK\r\n")
	refuse(other, ":x NICK bob\r\n", ":x PRIVMSG #a :b\r\n", ":alice NICK bob\r\n", ":alice!alice|2@x JOIN #a\r\n", ":!alice|2 JOIN #a\r\n", ":irc.test JOIN #a\r\n", ":: NICK bob\r\n")
	refuse(unknown("*"), ":a\r\n", "@a\r\n", "@a \r\n", ":alice|2 \r\n")
	refuse(unknown("*"), ":a :b NICK bob\r\n")
	refuse(unknown("NICK"), ": NICK bob\r\n", "@ NICK bob\r\n")
	refuse(unknown("@b"), "@a @b NICK bob\r\n")
	refuse(unknown("NICK\tbob"), "NICK\tbob\r\n")
	refuse(unknown("\tNICK"), "\tNICK bob\r\n")
	refuse(unknown("N\vICK"), "N\vICK bob\r\n")
	refuse(unknown("NI."), "NI. bob\r\n") // which some servers make whole
	refuse(unknown("\xd5\xc9"), "\xd5\xc9\r\n")
	refuse(unknown("NICK\u00a0bob"), "NICK\u00a0bob\r\n")
	refuse(unknown("N\u0131CK"), "N\u0131CK bob\r\n") // a dotless i
	refuse(unknown("001"), "001 bob :Welcome\r\n")
	refuse(unknown("0"), "0 NICK bob\r\n")
	refuse(unknown("CHARCONV"), "CHARCONV CP037\r\n")
	refuse(unknown("WEBIRC"), "WEBIRC a b c d\r\n", "webirc\n")
	refuse(unknown("PROXY"), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
	refuse(unknown("SERVER"), "SERVER a 1 :b\r\n")
	refuse(unknown("SERVICE"), "SERVICE a * * 0 0 :b\r\n")
	refuse(unknown("REGISTER"), "REGISTER bob * secret\r\n")
	refuse(unknown("VERIFY"), "VERIFY bob 123\r\n")
	refuse(anew, "PASS x\r\n", "USER bob 0 * :Bob\r\n", "user\n")
	refuse(again, "AUTHENTICATE PLAIN\r\n", "authenticate *\r\n", ":alice|2 AUTHENTICATE\r\n")
	refuse(tls, "STARTTLS\r\n", "starttls\n")
	refuse(long, "PRIVMSG #a :x"+room+"\r\n", "PRIVMSG #a :x"+room+"NICK bob\r\n", strings.Repeat("NICK", 9000)+" bob\n",
		strings.Repeat(" ", 600)+"NICK bob\n", "@"+strings.Repeat("a", 4095)+" NICK bob\r\n")
	return all
}

func TestFilter(t *testing.T) {
	for text, want := range verdicts() {
		out, say := judge(newFilter(true), []byte(text), whole)
		if string(out) != want.out || string(say) != want.say {
			t.Errorf("%.60q goes on as %.60q, with %q; want %.60q, with %q", text, out, say, want.out, want.say)
		}
		// Together with others, and in pieces, it is the same.
		around := "JOIN #x\r\n" + text + "PART #x\r\n"
		for size := range 4 {
			out, say := judge(newFilter(true), []byte(around), func(left int) int {
				if size == 0 {
					return left
				}
				return min(size, left)
			})
			if string(out) != "JOIN #x\r\n"+want.out+"PART #x\r\n" || string(say) != want.say {
				t.Errorf("%.60q in pieces of %d goes on as %.90q, with %q; want %.60q, with %q", text, size, out, say, want.out, want.say)
			}
		}
	}
}

// Tags are on top of a line's length where the upstream understands them. Where it does not, they are no part of what goes on:
// it would take them for the command.
func TestFilterTags(t *testing.T) {
	line := "PRIVMSG #a :" + strings.Repeat("x", 510-len("PRIVMSG #a :")) + "\r\n"
	const long = server + "417 alice|2 :Input line was too long\r\n"
	for n, ok := range map[int]bool{4096: true, 4097: false} {
		text := "@" + strings.Repeat("a", n-2) + " " + line
		if out, say := judge(newFilter(true), []byte(text), whole); (string(out) == text) != ok || (len(say) == 0) != ok {
			t.Errorf("%d bytes of tags: %d bytes go on, and it says %q", n, len(out), say)
		}
		if out, say := judge(newFilter(false), []byte(text), whole); len(out) > 0 || string(say) != long {
			t.Errorf("%d bytes of tags for nobody: %d bytes go on, and it says %q", n, len(out), say)
		}
	}
	for text, want := range map[string]string{"@a=b JOIN #a\r\n": "JOIN #a\r\n", "@a :alice|2 join #a\n": "join #a\r\n", "@a NICK bob\r\n": "", "@NICK bob\r\n": "bob\r\n"} {
		if out, _ := judge(newFilter(false), []byte(text), whole); string(out) != want {
			t.Errorf("%q goes on as %q", text, out)
		}
	}
}

// What is refused is missing, and nothing else: of many lines at once, and however they are cut.
func TestFilterCuts(t *testing.T) {
	text := []byte("JOIN #a\r\nNICK bob\r\nPRIVMSG #a :x\r\nNICK alice\nSTARTTLS\r" + strings.Repeat("y", 5000) + "\r\n ping  z\r\nAUTHENTICATE +\r\nQUIT")
	const want = "JOIN #a\r\nPRIVMSG #a :x\r\nNICK alice\r\nping z\r\n"
	wantOut, wantSay := judge(newFilter(true), text, whole)
	if string(wantOut) != want {
		t.Fatalf("in one piece, %q", wantOut)
	}
	for size := 1; size < len(text); size++ {
		out, say := judge(newFilter(true), text, func(left int) int { return min(size, left) })
		if !bytes.Equal(out, wantOut) || !bytes.Equal(say, wantSay) {
			t.Fatalf("in pieces of %d, %q and %q", size, out, say)
		}
	}
}

// Neither a line that never ends nor answers that nobody waits for fill the memory.
func TestFilterBounds(t *testing.T) {
	f := newFilter(true)
	for range 100 {
		if _, _, say := f.Judge(bytes.Repeat([]byte("x"), 1000)); len(say) > MaxLine {
			t.Fatalf("%d bytes are said", len(say))
		}
		if cap(f.held) > 2*(MaxClientTags+MaxLine) {
			t.Fatalf("%d bytes are held", cap(f.held))
		}
	}
	if _, _, say := f.Judge([]byte("\n" + strings.Repeat("NICK x\n", 2000))); len(say) < MaxLine || len(say) > maxSay+MaxLine {
		t.Errorf("%d bytes are said", len(say))
	}
}

// readings are how servers take lines out of a stream, all of them seen: CR as an end like LF, CR as nothing, NUL as an end or
// as a space, and blanks around a line as nothing.
var readings = map[string]func(stream string) []string{
	"LF":    func(s string) []string { return strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n") },
	"CR LF": func(s string) []string { return strings.Split(s, "\r\n") },
	"either": func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '\r' || r == '\n' })
	},
	"without CR": func(s string) []string { return strings.Split(strings.ReplaceAll(s, "\r", ""), "\n") },
	"NUL": func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == 0 || r == '\n' || r == '\r' })
	},
	"NUL is blank": func(s string) []string {
		return strings.Split(strings.NewReplacer("\x00", " ", "\r", "").Replace(s), "\n")
	},
}

// oneForm is what goes on.
var oneForm = regexp.MustCompile(`(?s)^(?:@[^ \r\n\x00]+ )?[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*(?: [^: \r\n\x00][^ \r\n\x00]*)*(?: :[^\r\n\x00]*)?\r\n$`)

// becomes finds, in the most generous way, whom a line would make of the client; "" where it is no NICK.
func becomes(line string) string {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == 0 })
	for len(words) > 0 && strings.ContainsAny(words[0][:1], ":@") {
		words = words[1:]
	}
	if len(words) < 2 || !strings.EqualFold(words[0], "NICK") {
		return ""
	}
	name := strings.TrimPrefix(words[1], ":")
	if strings.HasPrefix(words[1], ":") {
		name = strings.Join(append([]string{name}, words[2:]...), " ")
	}
	return name
}

func FuzzFilter(f *testing.F) {
	for text := range verdicts() {
		if len(text) < 100 {
			f.Add([]byte(text), uint64(len(text)), len(text)%2 == 0)
		}
	}
	for _, s := range []string{"NICK bob\r\n", "@a :x NICK bob\nPING\r", "\rNICK bob\r\n:x PRIVMSG a :b\r\n", "NICK alice\r\n\x00\r\n"} {
		f.Add([]byte(strings.Repeat("x", 600)+"\n"+s), uint64(2), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64, tags bool) {
		one, oneSay := judge(newFilter(tags), text, whole)
		random := rand.New(rand.NewPCG(seed, 0))
		many := newFilter(tags)
		out, say := judge(many, text, func(left int) int { return 1 + random.IntN(left) })
		if !bytes.Equal(one, out) {
			t.Fatalf("%q goes on as %q, and cut as %q", text, one, out)
		}
		if len(oneSay) < maxSay && !bytes.Equal(oneSay, say) {
			t.Fatalf("%q is answered by %q, and cut by %q", text, oneSay, say)
		}
		if cap(many.held) > 2*(MaxClientTags+MaxLine) {
			t.Fatalf("%d bytes are held", cap(many.held))
		}
		var lines []string
		for line := range strings.Lines(string(out)) {
			if !oneForm.MatchString(line) || tags && len(line) > MaxClientTags+MaxLine || !tags && (len(line) > MaxLine || line[0] == '@') {
				t.Fatalf("%q goes on", line)
			}
			lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		}
		if again, _ := judge(newFilter(tags), bytes.Clone(out), whole); !bytes.Equal(again, out) {
			t.Fatalf("%q goes on as %q, and that as %q", text, out, again)
		}
		for name, read := range readings {
			got := slices.DeleteFunc(read(string(out)), func(line string) bool { return line == "" })
			if !slices.Equal(got, lines) {
				t.Fatalf("%q is read as %q by way of %s", out, got, name)
			}
		}
		for _, line := range lines {
			if name := becomes(line); name != "" && !strings.EqualFold(name, "alice") && !strings.EqualFold(name, "alice|2") {
				t.Fatalf("%q goes on", line)
			}
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	message := "PRIVMSG #channel :" + strings.Repeat("hello ", 15)
	for name, text := range map[string]string{
		"message": message + "\r\n",
		"tagged":  "@label=123;+draft/reply=abcdef " + message + "\r\n",
		"bulk":    strings.Repeat(message+"\r\n", 100),
	} {
		b.Run(name, func(b *testing.B) {
			f := newFilter(true)
			buf := []byte(text)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, rest, _ := f.Judge(buf); len(rest) != len(buf) {
					b.Fatal("something is missing")
				}
			}
		})
	}
	for name, text := range map[string]string{ // that do not go on as they are
		"sourced": ":alice|2 " + message + "\r\n",
		"by LF":   message + "\n",
	} {
		b.Run(name, func(b *testing.B) {
			f := newFilter(true)
			buf := []byte(text)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, rest, _ := f.Judge(buf); len(rest) != len(message)+len("\r\n") {
					b.Fatal("something is missing")
				}
			}
		})
	}
	b.Run("halves", func(b *testing.B) {
		f := newFilter(true)
		buf := []byte("PRIVMSG #channel :" + strings.Repeat("hello ", 15) + "\r\n")
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		for b.Loop() {
			f.Judge(buf[:50])
			if first, _, _ := f.Judge(buf[50:]); len(first) != len(buf) {
				b.Fatal("something is missing")
			}
		}
	})
}

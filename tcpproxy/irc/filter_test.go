package irc

import (
	"bytes"
	"math/rand/v2"
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

func TestFilter(t *testing.T) {
	const (
		kept  = ""
		nick  = server + "484 alice|2 :Your nick is your account's name, and stays so\r\n"
		again = server + "907 alice|2 :You have already authenticated using SASL\r\n"
		tls   = server + "691 alice|2 :STARTTLS is not offered\r\n"
		long  = server + "417 alice|2 :Input line was too long\r\n"
		gone  = "-"
	)
	unknown := func(command string) string { return server + "421 alice|2 " + command + " :Unknown command\r\n" }
	room := strings.Repeat("x", 510-len("PRIVMSG #a :"))
	for _, tags := range []bool{false, true} {
		for text, want := range map[string]string{
			"PRIVMSG #a :NICK bob\r\n":              kept,
			"NICKNAME bob\r\n":                      kept,
			"NICK alice\r\n":                        kept,
			"NICK ALICE\r\n":                        kept,
			"nick :Alice|2\r\n":                     kept,
			"NICK\r\n":                              kept,
			"NICK  :\r\n":                           kept,
			"NICK alice 1\r\n":                      kept,
			"\r\n":                                  kept,
			"\n":                                    kept,
			"   \r\n":                               kept,
			":x\r\n":                                kept,
			"001 x\r\n":                             kept,
			"PRIVMSG #a :\xff\xfe\r\n":              kept,
			"PRIVMSG #a :" + room + "\r\n":          kept,
			"QUIT\n":                                kept,
			"JOIN #a\r":                             kept,
			"@a=b;+c=d :x PRIVMSG y :z\r\n":         kept,
			"NICK bob\r\n":                          nick,
			"NICK alic\r\n":                         nick,
			"NICK alice|3\r\n":                      nick,
			"NICK alice\\2\r\n":                     nick,
			"nIcK bob\n":                            nick,
			"NICK bob\r":                            nick,
			"NICK :alice bob\r\n":                   nick,
			"NICK   bob\r\n":                        nick,
			"NICK\x20:bob\r\n":                      nick,
			" NICK bob\r\n":                         nick,
			"\rNICK bob\r\n":                        "\r" + gone + nick,
			":x NICK bob\r\n":                       nick,
			":x   NICK bob\r\n":                     nick,
			"  :x NICK bob\r\n":                     nick,
			"@a=b NICK bob\r\n":                     nick,
			"@a=b :x NICK bob\r\n":                  nick,
			"@a=b   :x  NICK  :bob\r\n":             nick,
			"NICK alice\tbob\r\n":                   nick,
			"NICK\tbob\r\n":                         unknown("NICK\tbob"),
			"\tNICK bob\r\n":                        unknown("\tNICK"),
			":a :b NICK bob\r\n":                    unknown("*"),
			"@a @b NICK bob\r\n":                    unknown("@b"),
			"\xd5\xc9\r\n":                          unknown("\xd5\xc9"),
			"CHARCONV CP037\r\n":                    unknown("CHARCONV"),
			"NICK a\x00lice\r\n":                    gone,
			"PRIVMSG x :\x00NICK bob\r\n":           gone,
			"AUTHENTICATE PLAIN\r\n":                again,
			"authenticate *\r\n":                    again,
			":x AUTHENTICATE\r\n":                   again,
			"STARTTLS\r\n":                          tls,
			"starttls\n":                            tls,
			"PRIVMSG #a :x" + room + "\r\n":         long,
			"PRIVMSG #a :x" + room + "NICK bob\r\n": long,
			strings.Repeat("NICK", 9000) + " bob\n": long,
		} {
			out, say := judge(newFilter(tags), []byte(text), whole)
			pass, answer := text, want
			if want != kept {
				pass = ""
				if before, after, ok := strings.Cut(want, gone); ok {
					pass, answer = before, after
				}
			}
			if string(out) != pass || string(say) != answer {
				t.Errorf("%.60q goes on as %.60q, with %q; want %.60q, with %q", text, out, say, pass, answer)
			}
		}
	}
	// Tags are on top of a line's length where the upstream understands them.
	for n, ok := range map[int]bool{4096: true, 4097: false} {
		text := "@" + strings.Repeat("a", n-2) + " PRIVMSG #a :" + room + "\r\n"
		if out, say := judge(newFilter(true), []byte(text), whole); (string(out) == text) != ok || (len(say) == 0) != ok {
			t.Errorf("%d bytes of tags: %d bytes go on, and it says %q", n, len(out), say)
		}
		if out, say := judge(newFilter(false), []byte(text), whole); len(out) > 0 || string(say) != long {
			t.Errorf("%d bytes of tags for nobody: %d bytes go on, and it says %q", n, len(out), say)
		}
	}
}

// What is refused is missing, and nothing else: of many lines at once, and however they are cut.
func TestFilterCuts(t *testing.T) {
	text := []byte("JOIN #a\r\nNICK bob\r\nPRIVMSG #a :x\r\nNICK alice\nSTARTTLS\r" + strings.Repeat("y", 5000) + "\r\nPING z\r\nAUTHENTICATE +\r\nQUIT")
	const want = "JOIN #a\r\nPRIVMSG #a :x\r\nNICK alice\nPING z\r\n"
	wantOut, wantSay := judge(newFilter(true), text, whole)
	if string(wantOut) != want {
		t.Fatalf("in one piece, %q", wantOut)
	}
	for size := 1; size < len(text); size++ {
		out, say := judge(newFilter(true), text, func(left int) int { return min(size, left) })
		if !slices.Equal(linesOf(out), linesOf(wantOut)) || !bytes.Equal(say, wantSay) {
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

func linesOf(b []byte) []string {
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\r' || r == '\n' })
}

// becomes finds, in the most generous way, whom a line would make of the client; "" where it is no NICK.
func becomes(line string) string {
	line = strings.Map(func(r rune) rune {
		if r == '\t' || r == 0 {
			return ' '
		}
		return r
	}, line)
	words := strings.Fields(line)
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
	for _, s := range []string{"NICK bob\r\n", "@a :x NICK bob\nPING\r", "\rNICK bob\r\n:x PRIVMSG a :b\r\n", "NICK alice\r\n\x00\r\n", "AUTHENTICATE\r\n"} {
		f.Add([]byte(s), uint64(1), true)
		f.Add([]byte(strings.Repeat("x", 600)+"\n"+s), uint64(2), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64, tags bool) {
		one, oneSay := judge(newFilter(tags), text, whole)
		random := rand.New(rand.NewPCG(seed, 0))
		many := newFilter(tags)
		out, say := judge(many, text, func(left int) int { return 1 + random.IntN(left) })
		if !slices.Equal(linesOf(one), linesOf(out)) {
			t.Fatalf("%q goes on as %q, and cut as %q", text, one, out)
		}
		if len(oneSay) < maxSay && !bytes.Equal(oneSay, say) {
			t.Fatalf("%q is answered by %q, and cut by %q", text, oneSay, say)
		}
		if cap(many.held) > 2*(MaxClientTags+MaxLine) {
			t.Fatalf("%d bytes are held", cap(many.held))
		}
		in := linesOf(text)
		for _, line := range linesOf(out) {
			if name := becomes(line); name != "" && !strings.EqualFold(name, "alice") && !strings.EqualFold(name, "alice|2") {
				t.Fatalf("%q goes on", line)
			}
			i := slices.Index(in, line) // in the same order
			if i < 0 {
				t.Fatalf("%q was never sent", line)
			}
			in = in[i+1:]
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	for name, text := range map[string]string{
		"message": "PRIVMSG #channel :" + strings.Repeat("hello ", 15) + "\r\n",
		"tagged":  "@label=123;+draft/reply=abcdef :alice PRIVMSG #channel :" + strings.Repeat("hello ", 15) + "\r\n",
		"bulk":    strings.Repeat("PRIVMSG #channel :"+strings.Repeat("hello ", 15)+"\r\n", 100),
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

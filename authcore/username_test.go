package authcore

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseUsername(t *testing.T) {
	const refused = ""
	cases := []struct{ name, claimed, want string }{
		{"plain", "alice", "alice"},
		{"upper case", "ALICE", "alice"},
		{"full width", "ＡＬＩＣＥ", "alice"},
		{"mixed width", "Ａlice", "alice"},
		{"digits", "a1", "a1"},
		{"full-width digits", "bob４２", "bob42"},
		{"one letter", "a", "a"},
		{"one digit", "7", "7"},
		{"the longest", strings.Repeat("a", 32), strings.Repeat("a", 32)},
		{"too long", strings.Repeat("a", 33), refused},
		{"the longest, not in ASCII", strings.Repeat("é", 32), strings.Repeat("é", 32)},
		{"too long, not in ASCII", strings.Repeat("é", 33), refused},
		{"decomposed", "re\u0301ne", "réne"},
		{"decomposed and upper case", "RE\u0301NE", "réne"},
		{"joined by punctuation", "a.b_c-d", "a.b_c-d"},
		{"German", "straße", "straße"},
		{"Cyrillic", "Алиса", "алиса"},
		{"Greek", "Ἀλίκη", "ἀλίκη"},
		{"Japanese mixture", "山田たろうカナ", "山田たろうカナ"},
		{"Japanese, long vowel", "サーバ", "サーバ"},
		{"half-width Katakana", "ｶﾅ", "カナ"},
		{"Korean", "홍길동", "홍길동"},
		{"Arabic", "مرحبا", "مرحبا"},
		{"Hebrew", "שלום", "שלום"},
		{"Devanagari", "नमस्ते", "नमस्ते"},
		{"Thai", "สวัสดี", "สวัสดี"},

		{"empty", "", refused},
		{"space", " ", refused},
		{"nothing but spaces", " \t\u00a0\n", refused},
		{"space after", "alice ", "alice"},
		{"space before", " alice", "alice"},
		{"spaces around", " \t alice \t ", "alice"},
		{"space within", "al ice", refused},
		{"spaces around and within", " al ice ", refused},
		{"full-width space after", "alice\u3000", "alice"},
		{"no-break space after", "alice\u00a0", "alice"},
		{"no-break space within", "al\u00a0ice", refused},
		{"space before a mark", "alice \u0301", refused},
		{"dot", ".", refused},
		{"dot dot", "..", refused},
		{"dot at the end", "alice.", refused},
		{"dot at the front", ".alice", refused},
		{"two dots", "a..b", refused},
		{"dot dash", "a.-b", refused},
		{"full-width dots", "a．．b", refused},
		{"slash", "a/b", refused},
		{"full-width slash", "a／b", refused},
		{"path", "../etc", refused},
		{"markup", "<b>", refused},
		{"full-width markup", "＜b＞", refused},
		{"line protocol", "u:alice", refused},
		{"line protocol, full width", "u：alice", refused},
		{"line protocol, modifier letter", "u\u02d0alice", refused},
		{"apostrophe letter", "o\u02bcbrien", refused},
		{"at", "@", refused},
		{"e-mail", "alice@example.com", refused},
		{"quote", "o'brien", refused},
		{"percent", "100%", refused},
		{"star", "*", refused},
		{"braces", "{user}", refused},
		{"NUL", "alice\x00", refused},
		{"line feed after", "alice\n", "alice"},
		{"line break after", "alice\r\n", "alice"},
		{"line feed before", "\nalice", refused},
		{"line feed within", "al\nice", refused},
		{"carriage return", "alice\r\nbob", refused},
		{"tab", "al\tice", refused},
		{"escape", "\x1b[31malice", refused},
		{"delete", "alice\x7f", refused},
		{"bad UTF-8", "alice\xff", refused},
		{"surrogate", "alice\xed\xa0\x80", refused},
		{"overlong", "alice\xc0\xae", refused},
		{"replacement character", "alice\ufffd", refused},
		{"BOM", "\ufeffalice", refused},
		{"zero-width space", "al\u200bice", refused},
		{"zero-width joiner", "al\u200dice", refused},
		{"zero-width joiner where PRECIS allows it", "क्\u200dष", refused},
		{"zero-width non-joiner", "al\u200cice", refused},
		{"word joiner", "al\u2060ice", refused},
		{"soft hyphen", "al\u00adice", refused},
		{"grapheme joiner", "al\u034fice", refused},
		{"variation selector", "alice\ufe0f", refused},
		{"Hangul filler", "\u3164", refused},
		{"half-width Hangul filler", "\uffa0", refused},
		{"Khmer invisible vowel", "ក\u17b4", refused},
		{"right-to-left override", "\u202ealice", refused},
		{"right-to-left mark", "alice\u200f", refused},
		{"isolate", "\u2066alice\u2069", refused},
		{"directions mixed", "aliceאב", refused},
		{"stray mark", "\u0301", refused},
		{"mark first", "\u0301alice", refused},
		{"mark after punctuation", "a.\u0301b", refused},
		{"many marks", "a" + strings.Repeat("\u0335", 3), refused},
		{"two hundred marks", "a" + strings.Repeat("\u0301", 200), refused},
		{"emoji", "alice😀", refused},
		{"enclosed", "ⓐlice", refused},
		{"mathematical", "𝐚lice", refused},
		{"superscript", "alice²", refused},
		{"ligature", "ﬁona", refused},
		{"long s", "ſam", refused},
		{"Kelvin is k", "\u212aate", "kate"},
		{"Arabic digits", "bob٤٢", refused},
		{"private use", "alice\ue000", refused},
		{"unassigned", "alice\u0378", refused},
		{"tag", "alice\U000e0041", refused},
		{"tatweel", "عـلي", refused},
		{"middle dot", "al·la", refused},
		{"10 kB", strings.Repeat("a", 10_000), refused},
		{"10 kB of spaces", "alice" + strings.Repeat(" ", 10_000), "alice"},

		{"Cyrillic in Latin", "аlice", refused},
		{"Greek in Latin", "αlice", refused},
		{"Latin in Cyrillic", "алисa", refused},
		{"Han in Latin", "alice山", refused},
		{"Cherokee", "ꭰꮃꮖꮯꭼ", refused},
		{"Lisu", "ꓮꓡꓲꓚꓰ", refused},
		{"Coptic", "ⲥⲟⲣ", refused},
		{"Runic", "ᛁᛁ", refused},
		{"Deseret", "𐐬𐐬", refused},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseUsername(c.claimed)
			if string(got) != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
			if c.want == refused {
				wantKind(t, "refused", err, KindInvalidUsername)
				return
			}
			if again, err := ParseUsername(string(got)); again != got {
				t.Errorf("parsed again: got %q (%v), want %q", again, err, got)
			}
		})
	}
}

// A reserved name is refused in whatever spelling looks like it, but can be looked up.
func TestReservedUsernames(t *testing.T) {
	for _, n := range []string{
		"admin", "ADMIN", "Ａｄｍｉｎ", "adrnin", "admın", "adm\u0130n", "ᴀᴅᴍɪɴ", "root", "r00t", "mod", "support",
		"chatgate", "system", "me", "everyone", "postmaster", "nickserv", "nul1", "guest", "nuǀǀ", "ѕуѕтем",
	} {
		_, err := ParseUsername(n)
		wantKind(t, n, err, KindInvalidUsername)
		if _, err := CanonicalUsername(n); err != nil {
			t.Errorf("looking up %q: %v", n, err)
		}
	}
	for _, n := range []string{"adminton", "rooty", "alice-admin", "m0dest"} {
		if _, err := ParseUsername(n); err != nil {
			t.Errorf("%q is only similar: %v", n, err)
		}
	}
}

// REG-03: names that look alike share a skeleton, and only those.
func TestREG03Lookalikes(t *testing.T) {
	alike := [][]string{
		{"alice", "ALICE", "аӏісе" /* Cyrillic */, "alıce", "ALİCE", "a1ice", "aǀice", "ᴀʟɪᴄᴇ", "ɑlice"},
		{"pop", "рор" /* Cyrillic */, "ρορ" /* Greek */, "p0p", "pøp"},
		{"scope", "ѕсоре" /* Cyrillic */},
		{"kevin", "kevın"},
		{"marry", "rnarry", "ʀɴᴀʀʀʏ"},
		{"wow", "vvow", "ѡоѡ", "vvovv", "ʋʋow"},
		{"vvvv", "ʋvvv", "vʋvv", "ww", "ѵѵѵѵ"},
		{"nikita", "пікіта" /* Cyrillic */},
		{"strasse"},
		{"straße"},
		{"bob"},
		{"rene"},
		{"réne"},
		{"алиса"},
		{"jo"},
		{"ja", "ј\u0307а"},
	}
	owner := make(map[string]int)
	for i, group := range alike {
		for _, n := range group {
			name, err := CanonicalUsername(n)
			if err != nil {
				t.Errorf("%q: %v", n, err)
				continue
			}
			s := name.Skeleton()
			if k, ok := owner[s]; ok && k != i {
				t.Errorf("%q and %q share the skeleton %q", n, alike[k][0], s)
			}
			owner[s] = i
			if first := Username(group[0]).Skeleton(); first != s {
				t.Errorf("%q has the skeleton %q, want that of %q, %q", n, s, group[0], first)
			}
		}
	}
}

// REG-03: what takes long to refuse is an attack of its own.
func TestREG03Time(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("\u0301", 512), strings.Repeat("a\u0301\u0323", 200), strings.Repeat("ﷺ", 341), strings.Repeat("İ", 512),
		strings.Repeat("x", 1<<20), strings.Repeat("\u1100\u1161\u11a8", 113),
	} {
		start := time.Now()
		for range 20 {
			_, _ = ParseUsername(s)
		}
		if took := time.Since(start) / 20; took > 20*time.Millisecond { // 5 ms without the race detector
			t.Errorf("%.10q… took %v", s, took)
		}
	}
}

func FuzzParseUsername(f *testing.F) {
	for _, s := range []string{
		"alice", "ＡＬＩＣＥ", "ALİCE", "alıce", "Ἀλίκη", "RE\u0301NE", "ｶﾞﾅ", "홍길동", "क्ष", "ς", "Σς", "ΑΣ", "ǅ", "ẞ", "\u1e9e", "i\u0307\u0301",
		"\u0345", "ᾳ", "ΐ", "ﬃ", "한", "\u1100\u1161\u11a8", "a.b_c-d", "サーバ", "ѵѵ", "rn", "\u212aelvin", "Ω", "Å", "q\u0323\u0307", "שָׁ", "নো",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, claimed string) {
		name, err := ParseUsername(claimed)
		if err != nil {
			if KindOf(err) != KindInvalidUsername || name != "" {
				t.Fatalf("%q: %q, %v", claimed, name, err)
			}
			return
		}
		if again, err := ParseUsername(string(name)); again != name {
			t.Fatalf("%q is %q, and that is %q (%v)", claimed, name, again, err)
		}
		if n := utf8.RuneCountInString(string(name)); n < MinUsername || n > MaxUsername || !utf8.ValidString(string(name)) {
			t.Fatalf("%q became %q", claimed, name)
		}
		if strings.ContainsAny(string(name), " \t\r\n\x00:/<>@\"'%*{}\\,;#&?") {
			t.Fatalf("%q became %q", claimed, name)
		}
		if s := name.Skeleton(); s == "" || skeleton(s) != s && !strings.ContainsAny(s, "vrn") {
			t.Fatalf("%q has the skeleton %q, and that has %q", name, s, skeleton(s))
		}
	})
}

func ExampleParseUsername() {
	name, _ := ParseUsername("Ａlice")
	_, err := ParseUsername("u:alice")
	fmt.Println(name, KindOf(err))
	// Output: alice invalid_username
}

package authcore

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// Username is an account's name in canonical form, as [ParseUsername] returns it.
type Username string

// The bounds of a username, in code points.
const (
	MinUsername = 1
	MaxUsername = 32
)

// maxClaimed is the maximum that ParseUsername accepts, in bytes; nothing longer can shrink into a valid name.
const maxClaimed = 1024

// reservedNames are the skeletons of names that seem to speak for the service.
var reservedNames = func() map[string]bool {
	m := make(map[string]bool)
	for n := range strings.FieldsSeq(`admin administrator admins root system sysop sysadmin operator operators moderator
		moderators mod mods staff support help helpdesk security abuse postmaster webmaster hostmaster official
		chatgate server service services nickserv chanserv memoserv operserv global everyone here channel all nobody
		anonymous guest visitor null nil undefined none true false me self you`) {
		m[skeleton(n)] = true
	}
	return m
}()

// ParseUsername returns the canonical form of a claimed name, or KindInvalidUsername.
//
// White space around the name is trimmed. The form is PRECIS UsernameCaseMapped (RFC 8265, section 3.3): width and case
// mapped, NFC. The policy on top of it: 1 to 32 code points; letters with their marks, ASCII digits, and single '.', '_'
// and '-' between them; letters of one script in everyday use (the usual mixtures of Japanese and Korean count as one);
// no reserved name.
func ParseUsername(claimed string) (Username, error) {
	name, err := CanonicalUsername(claimed)
	if err != nil {
		return "", err
	}
	if reservedNames[skeleton(string(name))] {
		return "", Errorf(KindInvalidUsername, "this username is reserved")
	}
	return name, nil
}

// CanonicalUsername is ParseUsername that accepts reserved names, for look-ups.
func CanonicalUsername(claimed string) (Username, error) {
	claimed = trimClaimed(claimed)
	if len(claimed) > maxClaimed || !utf8.ValidString(claimed) {
		return "", Errorf(KindInvalidUsername, "a username has %d to %d characters of valid UTF-8", MinUsername, MaxUsername)
	}
	s, err := precis.UsernameCaseMapped.String(claimed)
	if err != nil {
		return "", &Error{Kind: KindInvalidUsername, Msg: "the username has characters that are not allowed", Err: err}
	}
	if n := utf8.RuneCountInString(s); n < MinUsername || n > MaxUsername {
		return "", Errorf(KindInvalidUsername, "a username has %d to %d characters", MinUsername, MaxUsername)
	}
	if err := checkSpelling(s); err != nil {
		return "", err
	}
	if !oneScript(s) {
		return "", Errorf(KindInvalidUsername, "the letters of a username belong to one script, and to one in everyday use")
	}
	return Username(s), nil
}

func checkSpelling(s string) error {
	joint, marks := true, 0 // joint: the rune before was punctuation, or there was none
	for _, r := range s {
		switch {
		case r == '.' || r == '_' || r == '-':
			if joint {
				return Errorf(KindInvalidUsername, "'.', '_' and '-' stand alone, between letters or digits")
			}
			joint, marks = true, 0
		case '0' <= r && r <= '9', unicode.IsLetter(r):
			joint, marks = false, 0
		case unicode.IsMark(r):
			if marks++; joint || marks > 2 {
				return Errorf(KindInvalidUsername, "the username has stray combining marks")
			}
		default:
			return Errorf(KindInvalidUsername, "a username has letters, digits, '.', '_' and '-' only")
		}
	}
	if joint {
		return Errorf(KindInvalidUsername, "a username ends in a letter or digit")
	}
	return nil
}

// scripts are those in everyday use (UAX #31, table 5), because the others have many letters that look like Latin ones.
// Usual mixtures count as one (UTS #39, section 5.1).
var scripts = func() map[string]string {
	m := map[string]string{"Han": "CJK", "Hiragana": "CJK", "Katakana": "CJK", "Bopomofo": "CJK", "Hangul": "CJK"}
	for n := range strings.FieldsSeq(`Arabic Armenian Bengali Cyrillic Devanagari Ethiopic Georgian Greek Gujarati
		Gurmukhi Hebrew Kannada Khmer Lao Latin Malayalam Myanmar Oriya Sinhala Tamil Telugu Thaana Thai Tibetan`) {
		m[n] = n
	}
	return m
}()

func scriptOf(r rune) string {
	if r == 'ー' { // lengthens Hiragana and Katakana, and belongs to neither
		return "CJK"
	}
	for name, script := range scripts {
		if unicode.Is(unicode.Scripts[name], r) {
			return script
		}
	}
	return ""
}

func oneScript(s string) bool {
	script := ""
	for _, r := range s {
		if r < utf8.RuneSelf {
			if 'a' <= r && r <= 'z' {
				if script != "" && script != "Latin" {
					return false
				}
				script = "Latin"
			}
			continue
		}
		switch sc := scriptOf(r); {
		case sc == "":
			if !unicode.IsMark(r) { // a mark may belong to any script
				return false
			}
		case script == "":
			script = sc
		case script != sc:
			return false
		}
	}
	return true
}

// Skeleton returns a text that is the same for names that look alike, similar to UTS #39, section 4. Stores keep it in a
// unique index. The table covers the letters of valid usernames that resemble lower-case Latin ones; all others stand for
// themselves.
func (u Username) Skeleton() string { return skeleton(string(u)) }

var lookalikes = strings.NewReplacer(
	// within ASCII
	"0", "o", "1", "l",
	// Cyrillic
	"а", "a", "в", "b", "с", "c", "ԁ", "d", "е", "e", "ғ", "f", "һ", "h", "н", "h", "і", "i", "ї", "i", "ј", "j",
	"к", "k", "ӏ", "l", "м", "m", "п", "n", "о", "o", "р", "p", "ԛ", "q", "г", "r", "ѕ", "s", "т", "t", "ц", "u",
	"ѵ", "v", "ѡ", "w", "ԝ", "w", "ш", "w", "х", "x", "у", "y", "ү", "y", "з", "3", "б", "6", "ь", "b",
	// Greek
	"α", "a", "β", "b", "ϲ", "c", "ε", "e", "η", "n", "ι", "i", "ϳ", "j", "κ", "k", "μ", "u", "ν", "v", "ο", "o",
	"ρ", "p", "σ", "o", "ς", "c", "τ", "t", "υ", "u", "χ", "x", "γ", "y", "ω", "w",
	// Armenian, Hebrew, Georgian and others
	"ո", "n", "օ", "o", "ս", "u", "հ", "h", "զ", "q", "ց", "g", "յ", "j", "լ", "l", "ք", "p", "ס", "o", "ו", "l",
	"ი", "o", "ი", "o", "๐", "o", "ഠ", "o", "ଠ", "o", "ଂ", "o", "ⲟ", "o", "ⲥ", "c",
	// Latin beyond ASCII
	"ı", "i", "ɩ", "i", "ɑ", "a", "ɡ", "g", "ƨ", "s", "ʋ", "v", "ʏ", "y", "ƅ", "b", "ɛ", "e", "ſ", "f", "ɪ", "i",
	"ß", "b", "ꞵ", "b", "ᴄ", "c", "ᴏ", "o", "ᴜ", "u", "ᴠ", "v", "ᴡ", "w", "ᴢ", "z", "ø", "o", "đ", "d", "ł", "l",
	"ħ", "h", "ŧ", "t", "æ", "ae", "œ", "oe", "ǀ", "l", "ɣ", "y", "ɯ", "w", "ƽ", "s", "ꞟ", "u", "ẝ", "f",
	// Latin small capitals
	"ᴀ", "a", "ʙ", "b", "ᴅ", "d", "ᴇ", "e", "ꜰ", "f", "ɢ", "g", "ʜ", "h", "ᴊ", "j", "ᴋ", "k", "ʟ", "l", "ᴍ", "m",
	"ɴ", "n", "ᴘ", "p", "ʀ", "r", "ꜱ", "s", "ᴛ", "t",
)

// lookalikePairs are replaced after the single letters, which may form them: "гn" is "rn" is "m". The combining dot is
// left by lower-casing İ, and invisible on an i.
var lookalikePairs = strings.NewReplacer("rn", "m", "vv", "w", "i\u0307", "i", "j\u0307", "j")

func skeleton(s string) string {
	return norm.NFC.String(lookalikePairs.Replace(lookalikes.Replace(norm.NFD.String(s))))
}

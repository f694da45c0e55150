package authcore

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

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

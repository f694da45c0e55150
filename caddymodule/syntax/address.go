package syntax

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Address says where a server is and how to log in there: a URL, or keywords and values as libpq takes them. Caddy saves
// its configuration and shows it, so a password in it has to be a placeholder.
type Address struct {
	text    string       // as configured
	masked  string       // the same with every byte of a placeholder replaced by hole
	Names   []string     // of the placeholders
	Scheme  string       // of a URL; empty if it is none, or if a placeholder says it
	torn    bool         // it is a URL whose host ends before its last @
	secrets []secretSpan // in their order
}

// secretSpan is the place of a password in an address.
type secretSpan struct {
	from, to int
	escape   func(string) string // makes a password fit for this place
}

// Hole stands for each byte of a placeholder in a text that [Mask] returns.
const Hole = "\x00"

var (
	errClearPassword = errors.New("a password is written in it, and Caddy saves its configuration and shows it; " +
		"write {env.NAME} or {file.path} in the place of the password")
	// ErrTorn refuses a URL whose host ends before its last @, so that nobody can tell where its password ends.
	ErrTorn = errors.New("it is malformed: in a URL, / ? # and @ in a user name, a password or a parameter have to be percent-encoded")
	// ErrPlaceholder does not show the name of the placeholder: it may be a password that happens to stand in braces.
	ErrPlaceholder = errors.New("it has a placeholder that is neither {env.NAME} nor {file.path}")
)

// ParseAddress finds the passwords in text, and what is wrong with it as far as that shows before placeholders have
// values. No error shows any of it.
func ParseAddress(text string) (Address, error) {
	a := Address{text: text}
	a.masked, a.Names = Mask(text)
	scheme, _, isURL := strings.Cut(a.masked, "://")
	switch {
	case isURL:
		if !strings.Contains(scheme, Hole) {
			a.Scheme = scheme
		}
		a.parseURL(len(scheme) + len("://"))
	case strings.HasPrefix(a.masked, Hole) && strings.Contains(a.masked, "@") && !strings.ContainsAny(a.masked, " \t"):
		a.parseURL(0)
	default:
		a.parseKeywords()
	}
	for _, name := range a.Names {
		if !strings.HasPrefix(name, "env.") && !strings.HasPrefix(name, "file.") {
			return a, ErrPlaceholder
		}
	}
	if a.torn {
		return a, ErrTorn
	}
	for _, s := range a.secrets {
		if strings.Trim(a.masked[s.from:s.to], Hole) != "" {
			return a, errClearPassword
		}
	}
	return a, nil
}

// Mask finds placeholders as Caddy's replacer does.
func Mask(text string) (masked string, names []string) {
	b := []byte(text)
	for i := 0; i < len(text); i++ {
		if text[i] != '{' || i > 0 && text[i-1] == '\\' {
			continue
		}
		end := i
		for {
			n := strings.IndexByte(text[end+1:], '}')
			if n < 0 {
				end = -1
				break
			}
			if end += n + 1; text[end-1] != '\\' {
				break
			}
		}
		if end < 0 {
			continue
		}
		names = append(names, text[i+1:end])
		copy(b[i:], strings.Repeat(Hole, end+1-i))
		i = end
	}
	return string(b), names
}

// parseURL finds the passwords in a URL whose user name begins at start, or somewhere in a placeholder if that is 0.
func (a *Address) parseURL(start int) {
	rest := a.masked[start:]
	at := strings.LastIndexByte(rest, '@')
	if at >= 0 {
		if end := strings.IndexAny(rest, "/?#"); end >= 0 && end < at {
			a.torn = true
			return
		}
		colon := strings.IndexByte(rest[:at], ':')
		switch {
		case start == 0:
			a.secrets = append(a.secrets, secretSpan{colon + 1, at, asIs})
		case colon >= 0:
			a.secrets = append(a.secrets, secretSpan{start + colon + 1, start + at, escapePassword})
		}
	}
	before, query, ok := strings.Cut(rest, "?")
	if !ok {
		return
	}
	query, _, _ = strings.Cut(query, "#")
	from := start + len(before) + 1
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(key); err == nil {
			key = k
		}
		if to := from + len(pair); strings.HasSuffix(strings.ToLower(key), "password") {
			a.secrets = append(a.secrets, secretSpan{to - len(value), to, escapeParameter})
		}
		from += len(pair) + 1
	}
}

// HideParameters marks parameters of a URL's query as secrets by their names, beside its passwords. It reports whether each
// of them is a placeholder.
func (a *Address) HideParameters(secret func(name string) bool) bool {
	before, query, _ := strings.Cut(a.masked, "?")
	from := len(before) + 1
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(key); err == nil {
			key = k
		}
		to := from + len(pair)
		from = to + 1
		known := slices.ContainsFunc(a.secrets, func(s secretSpan) bool { return s.to == to })
		if value == "" || known || !secret(key) {
			continue
		}
		if strings.Trim(value, Hole) != "" {
			return false
		}
		a.secrets = append(a.secrets, secretSpan{to - len(value), to, escapeParameter})
	}
	slices.SortFunc(a.secrets, func(a, b secretSpan) int { return a.from - b.from })
	return true
}

var keywordPassword = regexp.MustCompile(`(?i)password[\s\v]*=[\s\v]*(?:'((?:[^'\\]|\\.)*)|([^\s\v]*))`)

func (a *Address) parseKeywords() {
	for _, m := range keywordPassword.FindAllStringSubmatchIndex(a.masked, -1) {
		if m[2] >= 0 {
			a.secrets = append(a.secrets, secretSpan{m[2], m[3], escapeQuoted})
		} else if m[5] > m[4] {
			a.secrets = append(a.secrets, secretSpan{m[4], m[5], func(v string) string { return "'" + escapeQuoted(v) + "'" }})
		}
	}
}

func asIs(v string) string { return v }

func escapePassword(v string) string {
	return strings.TrimPrefix(url.UserPassword("", v).String(), ":")
}

// escapeParameter spells a space so that whoever takes + as it is understands it as well.
func escapeParameter(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }

func escapeQuoted(v string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) }

// Resolve returns the address with its placeholders replaced. One in the place of a password stands for the password as
// it is, whatever that is made of. An error names a placeholder and never a value.
func (a Address) Resolve(repl *caddy.Replacer) (string, error) {
	var b strings.Builder
	add := func(text string, escape func(string) string) error {
		v, err := repl.ReplaceOrErr(text, true, true)
		b.WriteString(escape(v))
		return err
	}
	done := 0
	for _, s := range a.secrets {
		if err := errors.Join(add(a.text[done:s.from], asIs), add(a.text[s.from:s.to], s.escape)); err != nil {
			return "", err
		}
		done = s.to
	}
	if err := add(a.text[done:], asIs); err != nil {
		return "", err
	}
	return b.String(), nil
}

// HasPlaceholder reports whether a value is only known once placeholders are replaced.
func HasPlaceholder(s string) bool { return strings.Contains(s, "{") }

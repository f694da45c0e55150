package mailer

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	htmltemplate "html/template"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

//go:embed templates
var embedded embed.FS

// The extensions of the three templates of a kind.
var endings = []string{".subject", ".txt", ".html"}

// Templates are the templates of all messages.
type Templates struct {
	kinds map[authcore.NoticeKind]kindTemplates
	sum   hash.Hash
}

// Fingerprint returns a hash of all templates, for comparison.
func (t *Templates) Fingerprint() string { return hex.EncodeToString(t.sum.Sum(nil)) }

type kindTemplates struct {
	subject, text *texttemplate.Template
	html          *htmltemplate.Template
}

// LoadTemplates loads the templates of a directory, and the built-in ones for those that it lacks, or all of them if dir
// is empty. It tries each with sample data. An error names the file.
func LoadTemplates(dir string) (*Templates, error) {
	if dir != "" {
		if err := checkNames(dir); err != nil {
			return nil, err
		}
	}
	t := &Templates{kinds: make(map[authcore.NoticeKind]kindTemplates), sum: sha256.New()}
	for _, kind := range authcore.NoticeKinds() {
		var k kindTemplates
		var err error
		if k.subject, err = load(t, dir, kind.String()+".subject", parseText); err != nil {
			return nil, err
		}
		if k.text, err = load(t, dir, kind.String()+".txt", parseText); err != nil {
			return nil, err
		}
		if k.html, err = load(t, dir, kind.String()+".html", parseHTML); err != nil {
			return nil, err
		}
		t.kinds[kind] = k
		if err := t.try(kind); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func parseText(name, text string) (*texttemplate.Template, error) {
	return texttemplate.New(name).Parse(text)
}

func parseHTML(name, text string) (*htmltemplate.Template, error) {
	return htmltemplate.New(name).Parse(text)
}

// load reads and parses one template.
func load[T any](into *Templates, dir, name string, parse func(name, text string) (T, error)) (T, error) {
	text, err := embedded.ReadFile("templates/" + name)
	if dir != "" {
		file := filepath.Join(dir, name)
		if own, oerr := os.ReadFile(file); !errors.Is(oerr, fs.ErrNotExist) { //nolint:gosec // the operator names it
			name, text, err = file, own, oerr
		}
	}
	if err != nil {
		var none T
		return none, fmt.Errorf("template %w", err)
	}
	_, _ = fmt.Fprintf(into.sum, "%q", text) // cannot fail; quotes mark the end of each
	t, err := parse(name, string(text))
	if err != nil {
		return t, oneLine(err)
	}
	return t, nil
}

// checkNames refuses files that look like templates but belong to no kind, which would otherwise be ignored.
func checkNames(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	for _, e := range entries {
		ending := filepath.Ext(e.Name())
		if !slices.Contains(endings, ending) {
			continue
		}
		kind := strings.TrimSuffix(e.Name(), ending)
		if !slices.ContainsFunc(authcore.NoticeKinds(), func(k authcore.NoticeKind) bool { return k.String() == kind }) {
			return fmt.Errorf("template: %s belongs to no message; rename it to one of %v with .subject, .txt or .html",
				filepath.Join(dir, e.Name()), authcore.NoticeKinds())
		}
	}
	return nil
}

// try executes the templates of a kind with complete data and with none.
func (t *Templates) try(kind authcore.NoticeKind) error {
	full := authcore.Notice{
		Kind: kind, Username: "alice", Code: "012345", Lifetime: 10 * time.Minute, Device: "Firefox on Linux",
		Addr: netip.MustParseAddr("192.0.2.1"), At: time.Unix(0, 0),
	}
	for _, d := range []Data{dataOf(full, issuer{"chat.example.com", "https://chat.example.com"}), {}} {
		if _, _, _, err := t.execute(kind, d); err != nil {
			return err
		}
	}
	return nil
}

func (t *Templates) execute(kind authcore.NoticeKind, d Data) (subject, text, html string, err error) {
	k, ok := t.kinds[kind]
	if !ok {
		return "", "", "", errors.New("there is no template for this kind of notice")
	}
	var b strings.Builder
	if err := k.subject.Execute(&b, subjectData{d.Service}); err != nil {
		return "", "", "", oneLine(err)
	}
	if subject = clean(b.String()); subject == "" {
		return "", "", "", fmt.Errorf("template: %s: the subject is empty", k.subject.Name())
	}
	b.Reset()
	if err := k.text.Execute(&b, d); err != nil {
		return "", "", "", oneLine(err)
	}
	text = b.String()
	b.Reset()
	if err := k.html.Execute(&b, d); err != nil {
		return "", "", "", oneLine(err)
	}
	html = b.String()
	if strings.TrimSpace(text) == "" || strings.TrimSpace(html) == "" {
		return "", "", "", fmt.Errorf("template: %s or %s: the message is empty", k.text.Name(), k.html.Name())
	}
	return subject, text, html, nil
}

// oneLine removes the line breaks from an error of a template.
func oneLine(err error) error { return errors.New(strings.Join(strings.Fields(err.Error()), " ")) }

package walkthrough

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// TestCaddyfiles reads every Caddyfile of the pages, and every part of one in the place where it belongs.
func TestCaddyfiles(t *testing.T) {
	n := 0
	for _, page := range pages(t) {
		blocks, _ := divide(page, read(t, page))
		for _, b := range blocks {
			if b.kind != "caddyfile" {
				continue
			}
			n++
			whole, ok := complete(b.text)
			if !ok {
				t.Errorf("%s:%d: where does this belong?\n%s", b.page, b.line, b.text)
				continue
			}
			adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
			if _, warnings, err := adapter.Adapt([]byte(whole), map[string]any{"filename": fmt.Sprintf("%s:%d", b.page, b.line)}); err != nil {
				t.Errorf("%s:%d: %v, %v\n%s", b.page, b.line, err, warnings, whole)
			}
		}
	}
	if n < 15 {
		t.Errorf("the pages have %d Caddyfiles", n)
	}
}

// complete puts a part of a Caddyfile into the whole that it is of.
func complete(text string) (whole string, ok bool) {
	rest := strings.TrimLeft(text, "\n")
	for strings.HasPrefix(rest, "#") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	first, _, _ := strings.Cut(rest, "\n")
	word, _, _ := strings.Cut(first, " ")
	line := "{\n\tlayer4 {\n\t\t:7001 {\n\t\t\troute {\n%s\n\t\t\t}\n\t\t}\n\t}\n}\n"
	frame := map[string]string{
		"chatgate_accounts": ":80 {\n%s\n}\n",
		"chatgate_proxy":    ":80 {\n%s\n}\n",
		"layer4":            "{\n%s\n}\n",
		"mail":              "{\n\tchatgate {\n\t\tissuer https://chat.example.com\n%s\n\t}\n}\n",
		"sms":               "{\n\tchatgate {\n%s\n\t}\n}\n",
		"127.0.0.1:7001":    "{\n\tlayer4 {\n%s\n\t}\n}\n",
		"chatgate_tls":      line,
		"first_line":        fmt.Sprintf(line, "chatgate_line 127.0.0.1:7000 {\n%s\n}"),
	}[word]
	switch {
	case frame != "":
		return fmt.Sprintf(frame, text), true
	case strings.HasSuffix(first, "{") && (word == "{" || strings.Contains(word, ".")):
		return text, true
	}
	return "", false
}

// TestJSON loads what the pages have of JSON, as far as that goes without serving it.
func TestJSON(t *testing.T) {
	n := 0
	for _, page := range pages(t) {
		blocks, _ := divide(page, read(t, page))
		for _, b := range blocks {
			if b.kind != "json" {
				continue
			}
			n++
			cfg := new(caddy.Config)
			err := json.Unmarshal([]byte(b.text), cfg)
			if err == nil {
				cfg.StorageRaw = json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, t.TempDir()))
				err = caddy.Validate(cfg)
			}
			if err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
		}
	}
	if n == 0 {
		t.Error("no page has JSON")
	}
}

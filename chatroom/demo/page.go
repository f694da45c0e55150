package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed page
var files embed.FS

var index = template.Must(template.ParseFS(files, "page/index.html"))

// The page loads nothing from elsewhere and runs no inline script; 'self' covers its WebSocket.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is one file of the page.
type asset struct {
	contentType string
	etag        string
	body        []byte
}

func newAsset(contentType string, body []byte) asset {
	return asset{contentType, fmt.Sprintf(`"%x"`, sha256.Sum256(body)), body}
}

func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // revalidate with the ETag each time
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// addPage adds the page to mux.
func addPage(mux *http.ServeMux, title string, maxMessage int) error {
	var page bytes.Buffer
	if err := index.Execute(&page, map[string]any{"Title": title, "MaxMessage": maxMessage}); err != nil {
		return fmt.Errorf("demo: the page: %w", err)
	}
	mux.Handle("GET /{$}", newAsset("text/html; charset=utf-8", page.Bytes()))
	for name, contentType := range map[string]string{
		"style.css": "text/css; charset=utf-8",
		"app.js":    "text/javascript; charset=utf-8",
	} {
		body, err := files.ReadFile("page/" + name)
		if err != nil {
			return fmt.Errorf("demo: the page: %w", err)
		}
		mux.Handle("GET /assets/"+name, newAsset(contentType, body))
	}
	return nil
}

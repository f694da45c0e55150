package texter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatgate/chatgate/internal/tcptest"
)

const (
	theNumber = "+447400123456"
	theText   = `123456 is "your" code & more=less %, \ é` + "\nbye"
)

// request is what the provider was asked.
type request struct {
	method, uri, user, password, body string
	header                            http.Header
}

// provider stands for one: it keeps what it is asked, and answers as it is told.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	asked   []request
	answers []func(w http.ResponseWriter, r *http.Request) // in their order; the last one again and again
}

func status(n int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
}

func newProvider(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) *provider {
	t.Helper()
	p := &provider{answers: answers}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		user, password, _ := r.BasicAuth()
		p.mu.Lock()
		i := min(len(p.asked), len(p.answers)-1)
		p.asked = append(p.asked, request{r.Method, r.RequestURI, user, password, string(body), r.Header})
		p.mu.Unlock()
		p.answers[i](w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) all() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]request(nil), p.asked...)
}

func open(t *testing.T, w Webhook) *Texter {
	t.Helper()
	if w.delay == 0 {
		w.delay = time.Millisecond
	}
	s, err := New(Options{Webhook: &w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// wantPlain checks that an error says something, and nothing of a message, a secret or an answer.
func wantPlain(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("the error is %v, want %q", err, says)
		return
	}
	for _, hidden := range []string{"7400", "123456", "hunter2", "code", "http://", "quoted"} {
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, hidden) {
			t.Errorf("the error shows %q: %s", hidden, text)
		}
	}
}

func TestWebhook(t *testing.T) {
	p := newProvider(t, status(202))
	s := open(t, Webhook{URL: p.URL})
	if err := s.Send(t.Context(), theNumber, theText); err != nil {
		t.Fatal(err)
	}
	got := p.all()[0]
	var body map[string]string
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || body["to"] != theNumber || body["text"] != theText || len(body) != 2 {
		t.Errorf("%s: %v", got.body, err)
	}
	if got.method != "POST" || got.uri != "/" || got.header.Get("Content-Type") != "application/json" || got.header.Get("User-Agent") != "chatgate" {
		t.Errorf("%+v", got)
	}
	if s.Stats() != (Stats{Sent: 1}) {
		t.Errorf("%+v", s.Stats())
	}
}

func TestWebhookOptions(t *testing.T) {
	p := newProvider(t, status(200))
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path, u.RawQuery = url.UserPassword("chat", "hunter2 :@/"), "/v1/send", "key=hunter2%20%26"
	s := open(t, Webhook{
		Method: "PUT", URL: u.String(), ContentType: "application/vnd.x+json; charset=utf-8",
		Header: http.Header{"x-region": {"eu", "us"}, "User-Agent": {"chat"}, "X-Api-Key": {"hunter2"}},
		Body:   `{"m":{"n":["{{.Digits}}"],"t":"{{.Text}}"},"k":"{{index .Values 0}}"}`, Values: []string{"hunter\"2{{.Text}}"},
	})
	if err := s.Send(t.Context(), theNumber, theText); err != nil {
		t.Fatal(err)
	}
	got := p.all()[0]
	want, err := json.Marshal(map[string]any{"m": map[string]any{"n": []string{theNumber[1:]}, "t": theText}, "k": "hunter\"2{{.Text}}"})
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal([]byte(got.body), &a) != nil || json.Unmarshal(want, &b) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("got %s, want %s", got.body, want)
	}
	if got.method != "PUT" || got.uri != "/v1/send?key=hunter2%20%26" || got.user != "chat" || got.password != "hunter2 :@/" {
		t.Errorf("%+v", got)
	}
	h := got.header
	if fmt.Sprint(h["X-Region"]) != "[eu us]" || h.Get("User-Agent") != "chat" || h.Get("X-Api-Key") != "hunter2" ||
		h.Get("Content-Type") != "application/vnd.x+json; charset=utf-8" {
		t.Errorf("%v", h)
	}
}

func TestWebhookForm(t *testing.T) {
	for body, number := range map[string]string{"": theNumber, "text={{.Text}}&to={{.Digits}}&token={{index .Values 0}}": theNumber[1:]} {
		p := newProvider(t, status(200))
		s := open(t, Webhook{URL: p.URL, ContentType: "application/x-www-form-urlencoded", Body: body, Values: []string{"a&b=c"}})
		if err := s.Send(t.Context(), theNumber, theText); err != nil {
			t.Fatal(err)
		}
		form, err := url.ParseQuery(p.all()[0].body)
		if err != nil || form.Get("to") != number || form.Get("text") != theText || body != "" && form.Get("token") != "a&b=c" {
			t.Errorf("%v, %v", form, err)
		}
	}
}

func TestWebhookAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []int
		retries int
		asked   int
		says    string // "" for success
	}{
		{"200", []int{200}, 2, 1, ""},
		{"201", []int{201}, 2, 1, ""},
		{"204", []int{204}, 2, 1, ""},
		{"refused", []int{400}, 2, 1, "the provider answered 400"},
		{"not let in", []int{401}, 2, 1, "the provider answered 401"},
		{"gone", []int{410}, 2, 1, "the provider answered 410"},
		{"busy, then not", []int{429, 200}, 1, 2, ""},
		{"down, then not", []int{500, 503, 200}, 2, 3, ""},
		{"down, then refused", []int{502, 400}, 2, 2, "the provider answered 400"},
		{"down for long", []int{503}, 2, 3, "the provider answered 503"},
		{"down, and not tried again", []int{503}, 0, 1, "the provider answered 503"},
		{"busy for long", []int{429}, 1, 2, "the provider answered 429"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var answers []func(http.ResponseWriter, *http.Request)
			for _, n := range c.answers {
				answers = append(answers, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(n)
					if n != 204 {
						_, _ = io.WriteString(w, "quoted "+theNumber+theText)
					}
				})
			}
			p := newProvider(t, answers...)
			s := open(t, Webhook{URL: p.URL, Retries: c.retries})
			err := s.Send(t.Context(), theNumber, theText)
			if c.says == "" && err != nil {
				t.Error(err)
			} else if c.says != "" {
				wantPlain(t, err, c.says)
			}
			all := p.all()
			if len(all) != c.asked {
				t.Errorf("asked %d times, want %d", len(all), c.asked)
			}
			for _, r := range all {
				if r.body != all[0].body || r.body == "" {
					t.Errorf("asked for %q, and then for %q", all[0].body, r.body)
				}
			}
			if want := (Stats{Sent: 1}); c.says == "" && s.Stats() != want {
				t.Errorf("%+v", s.Stats())
			} else if want := (Stats{Failed: 1}); c.says != "" && s.Stats() != want {
				t.Errorf("%+v", s.Stats())
			}
		})
	}
}

// A redirect is refused, and what it leads to hears nothing.
func TestWebhookRedirect(t *testing.T) {
	for _, n := range []int{301, 302, 303, 307, 308} {
		evil := newProvider(t, status(200))
		p := newProvider(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil.URL, n) })
		s := open(t, Webhook{URL: p.URL, Retries: 3, Header: http.Header{"Authorization": {"Bearer hunter2"}}})
		wantPlain(t, s.Send(t.Context(), theNumber, theText), "redirects are not followed")
		if len(p.all()) != 1 || len(evil.all()) != 0 {
			t.Errorf("%d: %d requests, and %d where it leads to", n, len(p.all()), len(evil.all()))
		}
	}
}

// Retry-After is kept to, where there is the time for that.
func TestWebhookRetryAfter(t *testing.T) {
	later := func(seconds string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", seconds)
			w.WriteHeader(429)
		}
	}
	p := newProvider(t, later("3600"), status(200))
	s := open(t, Webhook{URL: p.URL, Retries: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	wantPlain(t, s.Send(ctx, theNumber, theText), "429") // at once, or this test takes half an hour
	if len(p.all()) != 1 {
		t.Errorf("asked %d times", len(p.all()))
	}

	p = newProvider(t, later("1"), status(200))
	s = open(t, Webhook{URL: p.URL, Retries: 1})
	start := time.Now()
	if err := s.Send(t.Context(), theNumber, theText); err != nil || time.Since(start) < time.Second {
		t.Errorf("%v, after %s", err, time.Since(start))
	}

	p = newProvider(t, later("Thu, 01 Jan 1970 00:00:00 GMT"), status(200)) // not understood, and no harm done
	s = open(t, Webhook{URL: p.URL, Retries: 1})
	if err := s.Send(t.Context(), theNumber, theText); err != nil {
		t.Error(err)
	}
}

// answering is a provider without a network, for a test with a clock of its own.
type answering int

func (n answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(n), Body: http.NoBody}, nil
}

// Whoever waits for a second try may leave.
func TestWebhookLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Webhook{URL: "https://sms.example.com", Retries: 1, delay: time.Hour})
		s.via.(*webhook).client.Transport = answering(500)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		wantPlain(t, s.Send(ctx, theNumber, theText), "500")
		if d := time.Since(start); d != time.Minute {
			t.Errorf("it left after %s", d)
		}
	})
}

// What was sent and not answered is not sent again.
func TestWebhookTimeout(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	s := open(t, Webhook{URL: p.URL, Retries: 3, Timeout: 50 * time.Millisecond})
	wantPlain(t, s.Send(t.Context(), theNumber, theText), "did not answer in time")
	if len(p.all()) > 1 {
		t.Errorf("asked %d times", len(p.all()))
	}
}

// raw is a server that answers every connection with some bytes, after it has read something, and closes it.
func raw(t *testing.T, answer string) (url string, connections *atomic.Int32) {
	t.Helper()
	connections = new(atomic.Int32)
	addr := tcptest.Serve(t, func(c net.Conn) {
		connections.Add(1)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, answer)
	})
	return "http://" + addr, connections
}

func TestWebhookNonsense(t *testing.T) {
	for name, c := range map[string]struct{ answer, says string }{
		"no HTTP":            {"SSH-2.0-quoted +447400123456\r\n", "answer is not HTTP"},
		"a status of itself": {"HTTP/1.1 2xx quoted\r\n\r\n", "answer is not HTTP"},
		"nothing":            {"", "the provider"},
		"endless headers":    {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: quoted\r\n", 20_000) + "\r\n", "the provider"},
	} {
		t.Run(name, func(t *testing.T) {
			u, n := raw(t, c.answer)
			s := open(t, Webhook{URL: u, Retries: 3})
			wantPlain(t, s.Send(t.Context(), theNumber, theText), c.says)
			if n.Load() != 1 {
				t.Errorf("%d connections", n.Load())
			}
		})
	}
}

// Of an endless answer only the beginning is read.
func TestWebhookEndlessAnswer(t *testing.T) {
	gone := make(chan struct{})
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	s := open(t, Webhook{URL: p.URL, Timeout: time.Hour})
	if err := s.Send(t.Context(), theNumber, theText); err != nil {
		t.Error(err)
	}
	<-gone
}

// What there was no connection for is tried again.
func TestWebhookUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	s := open(t, Webhook{URL: "http://" + addr + "/hunter2", Retries: 5})
	wantPlain(t, s.Send(t.Context(), theNumber, theText), "could not be reached")
}

// A certificate that nobody vouches for is not taken.
func TestWebhookCertificate(t *testing.T) {
	asked := false
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	defer srv.Close()
	s := open(t, Webhook{URL: srv.URL, Retries: 3})
	wantPlain(t, s.Send(t.Context(), theNumber, theText), "certificate is not trusted")
	if asked {
		t.Error("it was asked all the same")
	}
}

func TestWebhookRefuses(t *testing.T) {
	const secret = "hunter2"
	for name, w := range map[string]Webhook{
		"no URL":                {},
		"a word":                {URL: secret},
		"a scheme":              {URL: "ftp://sms.example.com/" + secret},
		"no host":               {URL: "https:///" + secret},
		"clear and far":         {URL: "http://sms.example.com/" + secret},
		"clear and looks local": {URL: "http://localhost.example.com/" + secret},
		"a fragment":            {URL: "https://sms.example.com/#" + secret},
		"a port":                {URL: "https://sms.example.com:99999/" + secret},
		"a line break":          {URL: "https://sms.example.com/\n" + secret},
		"method":                {URL: "https://sms.example.com", Method: "GET"},
		"retries":               {URL: "https://sms.example.com", Retries: 6},
		"fewer retries":         {URL: "https://sms.example.com", Retries: -1},
		"timeout":               {URL: "https://sms.example.com", Timeout: -1},
		"header name":           {URL: "https://sms.example.com", Header: http.Header{"X Y": {"z"}}},
		"header value":          {URL: "https://sms.example.com", Header: http.Header{"X": {secret + "\r\nY: z"}}},
		"header of ours":        {URL: "https://sms.example.com", Header: http.Header{"content-length": {"3"}}},
		"host":                  {URL: "https://sms.example.com", Header: http.Header{"Host": {"x"}}},
		"content type":          {URL: "https://sms.example.com", ContentType: "text/plain"},
		"content type, broken":  {URL: "https://sms.example.com", ContentType: "a b;c"},
		"no text":               {URL: "https://sms.example.com", Body: `{"to":"{{.Number}}"}`},
		"no number":             {URL: "https://sms.example.com", Body: `{"text":"{{.Text}}"}`},
		"no JSON":               {URL: "https://sms.example.com", Body: `{"to":"{{.Number}}","text":{{.Text}}}`},
		"a field":               {URL: "https://sms.example.com", Body: `{"to":"{{.Number}}","text":"{{.Text}}{{.Code}}"}`},
		"a value that is not":   {URL: "https://sms.example.com", Body: `{"to":"{{.Number}}","text":"{{.Text}}{{index .Values 0}}"}`},
		"no template":           {URL: "https://sms.example.com", Body: `{"to":"{{.Number}","text":"{{.Text}}"}` + secret},
	} {
		_, err := New(Options{Webhook: &w})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []Options{{}, {Webhook: &Webhook{URL: "https://sms.example.com"}, Dir: "x"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	for _, good := range []string{"http://localhost/x", "http://127.0.0.1:8080", "http://[::1]/", "https://sms.example.com:8443/a?b=c"} {
		if err := CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

package texter

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Webhook describes a request to a provider's HTTP interface.
type Webhook struct {
	Method      string // "POST" (the default), "PUT" or "PATCH"
	URL         string // https; http only on the same machine
	Header      http.Header
	ContentType string        // "application/json" (the default), another +json, or "application/x-www-form-urlencoded"
	Body        string        // a template with {{.Number}} or {{.Digits}}, {{.Text}}, and {{index .Values 0}} and so on
	Values      []string      // secrets, for the template
	Timeout     time.Duration // of one request; 4 s if zero
	Retries     int           // after a temporary refusal

	delay time.Duration // before the first retry; 1 s if zero; doubled for each further one
}

// The bounds of a webhook.
const (
	DefaultTimeout = 4 * time.Second
	MaxRetries     = 5

	maxAnswer = 64 << 10 // bytes of an answer that are read, so that its connection can be used again
)

// ownHeaders are the headers that operators cannot set.
var ownHeaders = []string{
	"Host", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Te", "Expect", "Keep-Alive",
}

// CheckHeader checks the name of a header.
func CheckHeader(name string) error {
	switch canonical := http.CanonicalHeaderKey(name); {
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New("a header's name is not valid; use letters, digits and hyphens")
	case canonical == "Content-Type":
		return errors.New("the header Content-Type cannot be set; use content_type")
	case slices.Contains(ownHeaders, canonical):
		return fmt.Errorf("the header %s cannot be set; remove it", canonical)
	default:
		return nil
	}
}

// CheckURL checks a URL. No error shows any of it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it must be a URL such as https://sms.example.com/send")
	case u.Fragment != "":
		return errors.New("it has a #, and what follows would not be sent; write %23")
	case u.Scheme == "http" && !isLocal(u.Hostname()):
		return errors.New("http would send codes in clear; use https, unless the host is this machine")
	case u.Port() != "":
		if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
			return errors.New("its port must be between 1 and 65535")
		}
	}
	return nil
}

func isLocal(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}

// CheckMethod checks a request's method. Empty means the default.
func CheckMethod(method string) error {
	if !slices.Contains([]string{"", http.MethodPost, http.MethodPut, http.MethodPatch}, method) {
		return fmt.Errorf("method is %q; it is POST, PUT or PATCH", method)
	}
	return nil
}

// CheckRetries checks the number of retries.
func CheckRetries(n int) error {
	if n < 0 || n > MaxRetries {
		return fmt.Errorf("retries is %d; it must be between 0 and %d", n, MaxRetries)
	}
	return nil
}

// CheckBody checks the template of a body, which may use as many values.
func CheckBody(contentType, text string, values int) error {
	_, err := parseBody(cmp.Or(contentType, defaultType), text, make([]string, values))
	return err
}

// webhook is a checked [Webhook] with its client.
type webhook struct {
	Webhook
	body   *body
	client *http.Client
}

func (o *Webhook) open() (*webhook, error) {
	w := &webhook{Webhook: *o}
	w.Method = cmp.Or(w.Method, http.MethodPost)
	w.ContentType = cmp.Or(w.ContentType, defaultType)
	w.Timeout = cmp.Or(w.Timeout, DefaultTimeout)
	w.delay = cmp.Or(w.delay, time.Second)
	w.Header = o.Header.Clone()
	if err := CheckMethod(w.Method); err != nil {
		return nil, err
	}
	if err := CheckURL(w.URL); err != nil {
		return nil, err
	}
	if err := CheckRetries(w.Retries); err != nil {
		return nil, err
	}
	if w.Timeout < 0 {
		return nil, fmt.Errorf("timeout is %s; it must be positive", w.Timeout)
	}
	for name, values := range w.Header {
		if err := CheckHeader(name); err != nil {
			return nil, err
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("the header %s has a value with a line break or another control character; remove it", name)
			}
		}
	}
	var err error
	if w.body, err = parseBody(w.ContentType, w.Body, w.Values); err != nil {
		return nil, err
	}
	w.client = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxAnswer, MaxIdleConnsPerHost: 4,
			IdleConnTimeout: time.Minute, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

func (w *webhook) close() { w.client.CloseIdleConnections() }

// refusal is the reason why a request failed.
type refusal struct {
	text  string
	err   error         // from the network; never from what the provider wrote
	again bool          // a retry may help
	after time.Duration // the provider's Retry-After; 0 if it sent none
}

func (r *refusal) Error() string {
	if r.err != nil {
		return r.text + ": " + r.err.Error()
	}
	return r.text
}

func (r *refusal) Unwrap() error { return r.err }

// deliver implements transport.
func (w *webhook) deliver(ctx context.Context, to, text string) error {
	made, err := w.body.make(to, text)
	if err != nil {
		return errors.New("cannot make the body from its template")
	}
	delay := w.delay
	for try := 0; ; try++ {
		r := w.request(ctx, made)
		if r == nil {
			return nil
		}
		if !r.again || try == w.Retries || !pause(ctx, max(delay, r.after)) {
			return r
		}
		delay *= 2
	}
}

// pause waits for d and returns true. It returns false, at once, if ctx would end before that.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d || ctx.Err() != nil {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// request sends one request. Nil is success.
func (w *webhook) request(ctx context.Context, body string) *refusal {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, w.Method, w.URL, strings.NewReader(body))
	if err != nil {
		return &refusal{text: "cannot make the request"}
	}
	for name, values := range w.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Content-Type", w.ContentType)
	if _, set := req.Header["User-Agent"]; !set {
		req.Header.Set("User-Agent", "chatgate")
	}
	res, err := w.client.Do(req)
	if err != nil {
		return failed(err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode/100 == 5:
		r := &refusal{text: fmt.Sprintf("the provider answered %d", res.StatusCode), again: true}
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
			r.after = time.Duration(min(n, 3600)) * time.Second
		}
		return r
	case res.StatusCode/100 == 3:
		return &refusal{text: fmt.Sprintf("the provider answered %d, but redirects are not followed; write the URL that it redirects to", res.StatusCode)}
	default:
		return &refusal{text: fmt.Sprintf("the provider answered %d", res.StatusCode)}
	}
}

// failed turns an error of the client, whose text may quote the URL or the provider, into a refusal.
func failed(err error) *refusal {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	network, isNet := errors.AsType[*net.OpError](err)
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &refusal{text: "the provider did not answer in time", err: err}
	case isNet && network.Op == "dial":
		return &refusal{text: "the provider could not be reached", err: network.Err, again: true}
	case isNet:
		return &refusal{text: "the connection to the provider broke", err: network.Err}
	case verify:
		return &refusal{text: "the provider's certificate is not trusted; check the URL's host and the system's certificates"}
	default:
		return &refusal{text: "the provider's answer is not HTTP; check the URL's scheme and port"}
	}
}

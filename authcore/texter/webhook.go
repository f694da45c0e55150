package texter

import (
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

// Webhook is a provider's HTTP interface.
type Webhook struct {
	Method      string // "POST" (the default), "PUT" or "PATCH"
	URL         string // https; http only on the same machine
	Header      http.Header
	ContentType string        // "application/json" (the default), another +json, or "application/x-www-form-urlencoded"
	Body        string        // a template with {{.Number}} or {{.Digits}}, {{.Text}}, and {{index .Values 0}} and so on
	Values      []string      // secrets, for the template
	Timeout     time.Duration // of one request: 4s
	Retries     int           // after one that was refused for now

	delay time.Duration // before the first retry, doubling: 1s
}

// The bounds of a webhook.
const (
	DefaultTimeout = 4 * time.Second
	MaxRetries     = 5

	maxAnswer = 64 << 10 // of an answer's body that is read, so that its connection can be used again
)

// ownHeaders are those that are not the operator's to set.
var ownHeaders = []string{
	"Host", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Te", "Expect", "Keep-Alive",
}

// CheckHeader finds what is wrong with a header's name.
func CheckHeader(name string) error {
	switch canonical := http.CanonicalHeaderKey(name); {
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New("this is no name of a header")
	case canonical == "Content-Type":
		return errors.New("the header Content-Type is what content_type says")
	case slices.Contains(ownHeaders, canonical):
		return fmt.Errorf("the header %s is not for configuration", canonical)
	default:
		return nil
	}
}

// CheckURL finds what is wrong with a URL, without showing it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it is no URL such as https://sms.example.com/send")
	case u.Fragment != "":
		return errors.New("there is a # in it, and what comes after that is not sent")
	case u.Scheme == "http" && !isLocal(u.Hostname()):
		return errors.New("http sends codes in clear, which is for the same machine alone; use https")
	case u.Port() != "":
		if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
			return errors.New("its port is none")
		}
	}
	return nil
}

func isLocal(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}

// CheckMethod finds out whether a request may have a method; an empty one is the default.
func CheckMethod(method string) error {
	if !slices.Contains([]string{"", http.MethodPost, http.MethodPut, http.MethodPatch}, method) {
		return fmt.Errorf("method is %q; it is POST, PUT or PATCH", method)
	}
	return nil
}

// CheckRetries finds out whether a request may be made again so often.
func CheckRetries(n int) error {
	if n < 0 || n > MaxRetries {
		return fmt.Errorf("retries is %d; it must be between 0 and %d", n, MaxRetries)
	}
	return nil
}

// CheckBody finds what is wrong with a template of a body.
func CheckBody(contentType, text string, values int) error {
	_, err := parseBody(orElse(contentType, defaultType), text, make([]string, values))
	return err
}

// webhook is a [Webhook] that was checked.
type webhook struct {
	Webhook
	body   *body
	client *http.Client
}

func (o *Webhook) open() (*webhook, error) {
	w := &webhook{Webhook: *o}
	w.Method = orElse(w.Method, http.MethodPost)
	w.ContentType = orElse(w.ContentType, defaultType)
	w.Timeout = orElse(w.Timeout, DefaultTimeout)
	w.delay = orElse(w.delay, time.Second)
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
				return nil, fmt.Errorf("the header %s has a value that no header can have, such as one with a line break", name)
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

// refusal is why a request was of no use.
type refusal struct {
	text  string
	err   error         // of the network; never of what the provider wrote
	again bool          // trying again may help
	after time.Duration // not before, as the provider says; 0 if it does not
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
		return errors.New("making a request of the template failed")
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

// pause waits, unless ctx ends before that, which it reports at once.
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

// request asks the provider once. Nil is success.
func (w *webhook) request(ctx context.Context, body string) *refusal {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, w.Method, w.URL, strings.NewReader(body))
	if err != nil {
		return &refusal{text: "the request cannot be made"}
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
		return &refusal{text: fmt.Sprintf("the provider answered %d, and redirects are not followed", res.StatusCode)}
	default:
		return &refusal{text: fmt.Sprintf("the provider answered %d", res.StatusCode)}
	}
}

// failed makes a refusal of an error of the client's, whose text may have the URL, or something that the provider wrote.
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
		return &refusal{text: "the provider's certificate is not trusted"}
	default:
		return &refusal{text: "the provider did not answer in HTTP"}
	}
}

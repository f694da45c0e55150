package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/chatgate/chatgate/chatroom"
)

// The reverse proxy takes every error of its transport for a failure of the upstream: it counts it, and tries the request
// at the next one. So a single client could have all of them left out. The one error that it takes for the client's own
// doing is context.Canceled, and so whatever is no upstream's doing leaves the transport as that.

// faultError is context.Canceled to the reverse proxy, and to its log what it is.
type faultError struct{ fault error }

func (e *faultError) Error() string { return e.fault.Error() }

// Is implements what errors.Is looks for.
func (e *faultError) Is(target error) bool { return target == context.Canceled }

// blame returns what the reverse proxy is to know of an error of an attempt, whose body is nil where it has none.
func (hs *handshake) blame(r *http.Request, body *watchedBody, err error) error {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return context.Canceled // it is gone, and what else went wrong may be due to that
	}
	if hs.fault = hs.findFault(r, body, err); hs.fault != nil {
		return &faultError{hs.fault}
	}
	return err
}

// findFault returns what is to be answered where an error is not the upstream's doing.
func (hs *handshake) findFault(r *http.Request, body *watchedBody, err error) error {
	if ref, ok := errors.AsType[*chatroom.Refusal](err); ok {
		return ref
	}
	if broken := body.broken(); broken != nil {
		if hs.uploaded { // to an upstream before this one, whose failure was counted
			return &chatroom.Refusal{Status: http.StatusBadGateway, Msg: "the body of the request cannot be sent again"}
		}
		return uploadFault(broken)
	}
	if body.underWay() { // it may be too slow, or too long for an upstream that has answered and left
		return &chatroom.Refusal{Status: http.StatusBadGateway, Msg: "the upstream broke off before it had all of the request's body"}
	}
	if strings.Contains(err.Error(), "request header list larger than peer's advertised limit") { // of HTTP/2; it has no type
		return &chatroom.Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Msg: "the header is larger than the upstream takes"}
	}
	return unsendable(r)
}

func uploadFault(err error) error {
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); ok { // of a limit on bodies
		return he
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &chatroom.Refusal{Status: http.StatusRequestTimeout, Msg: "the body of the request took too long"}
	}
	return &chatroom.Refusal{Status: http.StatusBadRequest, Msg: "the body of the request broke off"}
}

// unsendable returns why no transport would send a request. A header that is configured may have a part of what the client
// sent that was decoded.
func unsendable(r *http.Request) error {
	if ref := chatroom.Unsendable(r); ref != nil {
		return ref
	}
	for name, values := range r.Header {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return &chatroom.Refusal{Status: http.StatusBadRequest, Msg: "the request makes a header that cannot be sent"}
			}
		}
	}
	return nil
}

// watchedBody notes whether it was the client that broke a body off.
type watchedBody struct {
	io.ReadCloser
	length int64 // as announced; negative: unknown
	read   atomic.Int64
	ended  atomic.Bool // all of it was read
	closed atomic.Bool
	err    atomic.Pointer[error]
}

// watch puts one around the body of a request, if it has one.
func watch(r *http.Request) *watchedBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &watchedBody{ReadCloser: r.Body, length: r.ContentLength}
	r.Body = b
	return b
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	read := b.read.Add(int64(n))
	if errors.Is(err, io.EOF) || read == b.length {
		b.ended.Store(true)
	}
	switch {
	case err == nil || b.closed.Load(): // closed by the transport, once the upstream had failed
	case !errors.Is(err, io.EOF):
		b.err.CompareAndSwap(nil, &err)
	case b.length > read:
		short := fmt.Errorf("%d bytes of body, of %d: %w", read, b.length, io.ErrUnexpectedEOF)
		b.err.CompareAndSwap(nil, &short)
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

func (b *watchedBody) touched() bool { return b != nil && b.read.Load() > 0 }

// underWay reports whether a part of the body was read, and not the rest.
func (b *watchedBody) underWay() bool { return b.touched() && !b.ended.Load() }

func (b *watchedBody) broken() error {
	if b == nil {
		return nil
	}
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

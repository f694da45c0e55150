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

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// The reverse proxy counts every error of its transport as a failure of the upstream, and retries the request at the next one.
// A single client could make it drop all upstreams. The only error that it blames on the client is context.Canceled, so the
// transport returns every error that is no upstream's fault as that.

// faultError is context.Canceled to the reverse proxy, but keeps its own text for the log.
type faultError struct{ fault error }

func (e *faultError) Error() string { return e.fault.Error() }

// Is makes errors.Is report context.Canceled.
func (e *faultError) Is(target error) bool { return target == context.Canceled }

// blame returns the error that the reverse proxy gets for a failed attempt. body is nil if the request has none.
func (hs *handshake) blame(r *http.Request, body *watchedBody, err error) error {
	if e, ok := errors.AsType[*authcore.Error](err); ok { // of the stream, whose context we have canceled
		hs.fault = e
		return &faultError{e}
	}
	if errors.Is(r.Context().Err(), context.Canceled) {
		return context.Canceled // the client is gone, which may have caused err
	}
	if hs.fault = hs.findFault(r, body, err); hs.fault != nil {
		return &faultError{hs.fault}
	}
	return err
}

// findFault returns the error to answer with, or nil if the upstream is at fault.
func (hs *handshake) findFault(r *http.Request, body *watchedBody, err error) error {
	if ref, ok := errors.AsType[*chatroom.Refusal](err); ok {
		return ref
	}
	if broken := body.broken(); broken != nil {
		if hs.uploaded { // to another upstream, whose failure was counted
			return &chatroom.Refusal{Status: http.StatusBadGateway, Msg: "the body of the request cannot be sent again"}
		}
		return uploadFault(broken)
	}
	if body.underWay() { // the client may be too slow, or the upstream answered early and closed
		return &chatroom.Refusal{Status: http.StatusBadGateway, Msg: "the upstream broke off before it had all of the request's body"}
	}
	if strings.Contains(err.Error(), "request header list larger than peer's advertised limit") { // of HTTP/2; it has no type
		return &chatroom.Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Msg: "the header is larger than the upstream takes"}
	}
	return unsendable(r)
}

// uploadFault returns the error to answer with for a body that the client did not finish.
func uploadFault(err error) error {
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); ok { // from a limit on bodies
		return he
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &chatroom.Refusal{Status: http.StatusRequestTimeout, Msg: "the body of the request took too long"}
	}
	return &chatroom.Refusal{Status: http.StatusBadRequest, Msg: "the body of the request broke off"}
}

// unsendable returns why no transport would send a request, or nil. A configured header can contain decoded input of the client.
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

// watchedBody is a request body that records whether the client failed to finish it.
type watchedBody struct {
	io.ReadCloser
	length int64 // Content-Length; negative: unknown
	read   atomic.Int64
	ended  atomic.Bool // was read to its end
	closed atomic.Bool
	err    atomic.Pointer[error]
}

// watch wraps the body of a request. It returns nil if there is none.
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
	case err == nil || b.closed.Load(): // after a Close, which the transport calls when the upstream has failed
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

// underWay reports whether the body was read in part.
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

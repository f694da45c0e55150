package caddymodule

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// answerError returns an error for Caddy to answer and to log, but for one: where the request came with a token that
// Caddy would log in clear. Caddy has copied the request for its error log before any handler could change it, so that one
// is answered and logged here, as Caddy does it, from a copy without the token. taken is what may be gone from r.
func (a *App) answerError(w http.ResponseWriter, r *http.Request, taken takenHeaders, err error) error {
	srv, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if err == nil || !ok {
		return err
	}
	clean, dirty := loggable(r, taken)
	if !dirty {
		return err
	}
	restore(r)
	status, msg, fields := errorFields(err)
	level := zapcore.DebugLevel
	r2 := srv.Errors.WithError(r, err)
	switch {
	case srv.Errors == nil || len(srv.Errors.Routes) == 0:
		if status >= http.StatusInternalServerError {
			level = zapcore.ErrorLevel
		}
		w.WriteHeader(status)
	default:
		end := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(status)
			return nil
		})
		if err2 := srv.Errors.Routes.Compile(end).ServeHTTP(w, r2); err2 != nil {
			level, msg = zapcore.ErrorLevel, "error handling handler error"
			fields = append(fields, zap.NamedError("error", err2))
			w.WriteHeader(status)
		}
	}
	shows := srv.Logs != nil && srv.Logs.ShouldLogCredentials
	fields = append([]zapcore.Field{zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: clean, ShouldLogCredentials: shows})}, fields...)
	for _, name := range errorLoggers(srv, r.Host) {
		if c := a.httpLog.Named("log").Named("error").Named(name).Check(level, msg); c != nil {
			c.Write(fields...)
		}
	}
	return nil
}

// takenHeaders are those which a token is taken from, or with, as the client sent them.
type takenHeaders struct{ protocols, referer []string }

func headersToTake(r *http.Request) takenHeaders {
	return takenHeaders{r.Header["Sec-Websocket-Protocol"], r.Header["Referer"]}
}

// loggable returns a copy of a request without tokens, and whether there were any in what Caddy does not redact by itself.
func loggable(r *http.Request, taken takenHeaders) (clean *http.Request, dirty bool) {
	clean = r.Clone(r.Context())
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		clean.Method, clean.RequestURI, clean.RemoteAddr = orig.Method, orig.RequestURI, orig.RemoteAddr
	}
	for name, values := range map[string][]string{"Sec-Websocket-Protocol": taken.protocols, "Referer": taken.referer} {
		if len(values) > 0 {
			clean.Header[name] = append([]string(nil), values...)
		}
	}
	wash := func(s string) string {
		if out := redact([]byte(s)); out != nil {
			dirty = true
			return string(out)
		}
		return s
	}
	clean.RequestURI = wash(clean.RequestURI)
	for name, values := range clean.Header {
		switch name {
		case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie":
			continue
		}
		for i, v := range values {
			values[i] = wash(v)
		}
	}
	return clean, dirty
}

// restore gives error routes the request as it came, as Caddy does.
func restore(r *http.Request) {
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		r.Method, r.RemoteAddr, r.RequestURI = orig.Method, orig.RemoteAddr, orig.RequestURI
		u := new(url.URL)
		*u = *orig.URL
		if orig.URL.User != nil {
			user := *orig.URL.User
			u.User = &user
		}
		*r.URL = *u
	}
}

// errorFields returns what Caddy logs of an error, and what it answers.
func errorFields(err error) (status int, msg string, fields []zapcore.Field) {
	e, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok {
		return http.StatusInternalServerError, err.Error(), []zapcore.Field{zap.Error(err)}
	}
	msg = e.Error()
	if e.Err != nil {
		msg = e.Err.Error()
	}
	return e.StatusCode, msg, []zapcore.Field{zap.Int("status", e.StatusCode), zap.String("err_id", e.ID), zap.String("err_trace", e.Trace)}
}

// errorLoggers returns the names, below that of all errors, which a server's log directives have for a host.
func errorLoggers(srv *caddyhttp.Server, host string) []string {
	if srv.Logs == nil {
		return []string{""}
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if names, ok := srv.Logs.LoggerNames[strings.ToLower(host)]; ok {
		return names
	}
	return []string{srv.Logs.DefaultLoggerName}
}

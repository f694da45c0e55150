package redact

import (
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// AnswerError returns err, for Caddy to answer and to log, unless the request has a token that Caddy would log in clear. Caddy
// copies a request for its error log before any handler can change it. In that case AnswerError answers and logs the error
// itself, as caddyhttp.Server.ServeHTTP does, from a copy of the request without tokens, and returns nil. original is the
// result of [OriginalHeader] before the gate removed anything from r.
//
// Handlers between the server and the gate do not see such an error. The error routes of a subroute, which only a configuration
// in JSON can have, do not run for it; those of the server, which handle_errors makes, do.
func AnswerError(httpLog *zap.Logger, w http.ResponseWriter, r *http.Request, original http.Header, err error) error {
	srv, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return err
	}
	clean, dirty := loggable(r, original)
	if !dirty {
		return err
	}
	shows := srv.Logs != nil && srv.Logs.ShouldLogCredentials
	log := httpLog.Named("log.error").With(zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: clean, ShouldLogCredentials: shows}))
	if start, ok := caddyhttp.GetVar(r.Context(), "start_time").(time.Time); ok {
		log = log.With(zap.Duration("duration", time.Since(start)))
	}
	restore(r)
	status, msg, fields := errorFields(err)
	level := zapcore.DebugLevel
	r2 := srv.Errors.WithError(r, err)
	if srv.Errors == nil || len(srv.Errors.Routes) == 0 {
		if status >= http.StatusInternalServerError {
			level = zapcore.ErrorLevel
		}
		w.WriteHeader(status)
	} else if err2 := srv.Errors.Routes.Compile(withStatus(err)).ServeHTTP(w, r2); err2 != nil {
		fields = append([]zapcore.Field{zap.String("error", err2.Error()), zap.Namespace("first_error"), zap.String("msg", msg)}, fields...)
		level, msg = zapcore.ErrorLevel, "error handling handler error"
		_ = withStatus(err).ServeHTTP(w, r2)
	}
	for _, name := range errorLoggers(srv, r) {
		if c := log.Named(name).Check(level, msg); c != nil {
			c.Write(fields...)
		}
	}
	return nil
}

// withStatus answers with the status of err and no body, if no error route has answered before it.
func withStatus(err error) caddyhttp.Handler {
	status := http.StatusInternalServerError
	if e, ok := err.(caddyhttp.HandlerError); ok { //nolint:errorlint // Caddy does not unwrap here either
		status = e.StatusCode
	}
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(status)
		return nil
	})
}

// OriginalHeader returns a copy of the request's header for [AnswerError], before the gate removes anything, or nil if Caddy
// would log no token of it, which is so for most requests. It looks only where the gate takes tokens from. For a token
// elsewhere, such as in X-Token, the log shows the header without what the gate removed.
func OriginalHeader(r *http.Request) http.Header {
	if !strings.Contains(r.RequestURI, joseStart) && !anyToken(r.Header["Sec-Websocket-Protocol"]) && !anyToken(r.Header["Referer"]) {
		return nil
	}
	return maps.Clone(r.Header)
}

func anyToken(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, joseStart) })
}

// loggable returns a copy of a request without tokens, and reports whether there were any where Caddy redacts nothing.
func loggable(r *http.Request, original http.Header) (clean *http.Request, dirty bool) {
	clean = r.Clone(r.Context())
	if original != nil {
		clean.Header = original.Clone()
	}
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		clean.Method, clean.RequestURI, clean.RemoteAddr = orig.Method, orig.RequestURI, orig.RemoteAddr
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

// restore makes r what it was when it came, for error routes, as Caddy does.
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

// errorFields returns the status that Caddy answers err with, and the message and fields that it logs.
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

// errorLoggers returns the names, below the one of all errors, under which Caddy logs an error of a request: those of log_name,
// or those that the server has for the host.
func errorLoggers(srv *caddyhttp.Server, r *http.Request) (names []string) {
	if srv.Logs == nil {
		return []string{""}
	}
	if chosen, ok := caddyhttp.GetVar(r.Context(), caddyhttp.AccessLoggerNameVarKey).([]any); ok {
		for _, name := range chosen {
			if name, ok := name.(string); ok {
				names = append(names, name)
			}
		}
		return names
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	if names, ok := srv.Logs.LoggerNames[host]; ok {
		return names
	}
	labels := strings.Split(host, ".")
	for i := range labels {
		if labels[i] == "" {
			continue
		}
		labels[i] = "*" // from the left, one more each time
		if names, ok := srv.Logs.LoggerNames[strings.Join(labels, ".")]; ok {
			return names
		}
	}
	return []string{srv.Logs.DefaultLoggerName}
}

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

// AnswerError returns an error for Caddy to answer and to log, but for one: where the request came with a token that
// Caddy would log in clear. Caddy has copied the request for its error log before any handler could change it, so that one
// is answered and logged here, as caddyhttp.Server.ServeHTTP does it, from a copy without the token. sent is what
// [HeadersAsSent] returned before anything was taken from r.
//
// What lies between the gate and the server does not see such an error: errors of a subroute, which only a configuration in
// JSON has, are not run for it. Those of the server, which handle_errors makes, are.
func AnswerError(httpLog *zap.Logger, w http.ResponseWriter, r *http.Request, sent http.Header, err error) error {
	srv, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return err
	}
	clean, dirty := loggable(r, sent)
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

// withStatus answers with nothing but the status of an error, where no route for errors has more to say.
func withStatus(err error) caddyhttp.Handler {
	status := http.StatusInternalServerError
	if e, ok := err.(caddyhttp.HandlerError); ok { //nolint:errorlint // Caddy does not look for wrapped ones here
		status = e.StatusCode
	}
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(status)
		return nil
	})
}

// HeadersAsSent returns the headers of a request that may hold a token where Caddy logs it, before the gate takes any; nil
// for most requests. A token where the gate does not look, such as in X-Token, stays in the request, but then what was
// taken for other reasons is not in the log.
func HeadersAsSent(r *http.Request) http.Header {
	if !strings.Contains(r.RequestURI, joseStart) && !anyToken(r.Header["Sec-Websocket-Protocol"]) && !anyToken(r.Header["Referer"]) {
		return nil
	}
	return maps.Clone(r.Header)
}

func anyToken(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, joseStart) })
}

// loggable returns a copy of a request without tokens, and whether there were any in what Caddy does not redact by itself.
func loggable(r *http.Request, sent http.Header) (clean *http.Request, dirty bool) {
	clean = r.Clone(r.Context())
	if sent != nil {
		clean.Header = sent.Clone()
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

// errorLoggers returns the names, below that of all errors, that Caddy logs an error of a request under: what log_name says,
// or what the server has for the host.
func errorLoggers(srv *caddyhttp.Server, r *http.Request) (names []string) {
	if srv.Logs == nil {
		return []string{""}
	}
	if said, ok := caddyhttp.GetVar(r.Context(), caddyhttp.AccessLoggerNameVarKey).([]any); ok {
		for _, name := range said {
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
		labels[i] = "*" // from the left, and those before it too
		if names, ok := srv.Logs.LoggerNames[strings.Join(labels, ".")]; ok {
			return names
		}
	}
	return []string{srv.Logs.DefaultLoggerName}
}

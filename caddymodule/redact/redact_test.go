package redact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A token of the length and form of ours.
const sampleToken = "eyJhbGciOiJFZERTQSIsImtpZCI6InhZei0xXzIiLCJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiIwMTk4In0.c2ln-bmF0dXJl_ZQ"

func redactingLogger(t *testing.T, wrap string) (*zap.Logger, *bytes.Buffer) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	e := new(Encoder)
	if wrap != "" {
		e.WrappedRaw = json.RawMessage(wrap)
	}
	if err := e.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	return zap.New(zapcore.NewCore(e, zapcore.AddSync(&b), zapcore.DebugLevel)), &b
}

func TestRedactsTokensWhereverTheyAre(t *testing.T) {
	header := http.Header{
		"Sec-Websocket-Protocol": {sampleToken + ", chat.v1"}, "Referer": {"https://a.example/?token=" + sampleToken + "#x"},
		"X-Two": {sampleToken + "," + sampleToken, "a " + sampleToken},
	}
	for _, wrap := range []string{"", `{"format":"json"}`, `{"format":"console"}`, `{"format":"chatgate_redact"}`} {
		for name, write := range map[string]func(*zap.Logger){
			"message":        func(l *zap.Logger) { l.Info(sampleToken + " at the start") },
			"end of message": func(l *zap.Logger) { l.Info("at the end " + sampleToken) },
			"string":         func(l *zap.Logger) { l.Info("x", zap.String("token", sampleToken)) },
			"bytes":          func(l *zap.Logger) { l.Info("x", zap.ByteString("token", []byte(sampleToken))) },
			"query":          func(l *zap.Logger) { l.Info("x", zap.String("uri", "/ws?a=b&token="+sampleToken+"&c=d")) },
			"encoded query":  func(l *zap.Logger) { l.Info("x", zap.String("uri", "/ws?token%3D"+sampleToken+"%26")) },
			"cookie":         func(l *zap.Logger) { l.Info("x", zap.String("cookie", "a=b; ssid="+sampleToken+"; c=d")) },
			"error":          func(l *zap.Logger) { l.Error("x", zap.Error(errors.New("no session for "+sampleToken))) },
			"headers":        func(l *zap.Logger) { l.Info("x", zap.Object("headers", caddyhttp.LoggableHTTPHeader{Header: header})) },
			"reflected": func(l *zap.Logger) {
				l.Info("x", zap.Any("deep", map[string]any{"a": []any{map[string]string{"b": sampleToken}}}))
			},
			"key":  func(l *zap.Logger) { l.Info("x", zap.Bool(sampleToken, true)) },
			"With": func(l *zap.Logger) { l.With(zap.String("token", sampleToken)).Info("x") },
			"With twice": func(l *zap.Logger) {
				l.With(zap.String("a", sampleToken)).With(zap.Namespace("n"), zap.String("b", sampleToken)).Info("x", zap.Int("c", 1))
			},
			"name":           func(l *zap.Logger) { l.Named(sampleToken).Info("x") },
			"header alone":   func(l *zap.Logger) { l.Info("x", zap.String("token", sampleToken[:strings.Index(sampleToken, ".")])) },
			"cut off":        func(l *zap.Logger) { l.Info("x", zap.String("token", sampleToken[:24])) },
			"in quotes":      func(l *zap.Logger) { l.Info("x", zap.String("token", `"`+sampleToken+`"`)) },
			"after a letter": func(l *zap.Logger) { l.Info("x", zap.String("token", "Bearer"+sampleToken)) },
			"many":           func(l *zap.Logger) { l.Info(strings.Repeat(sampleToken+" ", 100)) },
		} {
			t.Run(wrap+"/"+name, func(t *testing.T) {
				l, b := redactingLogger(t, wrap)
				write(l)
				got := b.String()
				for _, part := range append(strings.Split(sampleToken, "."), sampleToken[:24]) {
					if strings.Contains(got, part) {
						t.Errorf("%q is in it: %s", part, got)
					}
				}
				if !strings.Contains(got, "[token]") || !strings.HasSuffix(got, "\n") {
					t.Errorf("nothing is redacted, or more than a token: %s", got)
				}
				if !strings.Contains(wrap, "console") && !json.Valid(b.Bytes()) {
					t.Errorf("no JSON any more: %s", got)
				}
			})
		}
	}
}

func TestRedactKeepsWhatStandsAround(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		sampleToken:                            "[token]",
		"a " + sampleToken:                     "a [token]",
		sampleToken + " b":                     "[token] b",
		sampleToken + `","b":1`:                `[token]","b":1`,
		sampleToken + "," + sampleToken + ";x": "[token],[token];x",
		"ssid=" + sampleToken + "&eyJ":         "ssid=[token]&eyJ",
	} {
		got := in
		if b := redact([]byte(in)); b != nil {
			got = string(b)
		}
		if got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestRedactLeavesTheRestAlone(t *testing.T) {
	write := func(l *zap.Logger) {
		l.With(zap.String("session", "b5c1e0d4-7d0a-4f5e-9a54-8f9f0a4a2f43")).Info("login: keyJar, monkeyJoy",
			zap.String("short", "eyJhbGciOiJ"), zap.String("almost", "eyJ"+strings.Repeat("a", minToken-4)),
			zap.String("base64", "SGVsbG8gd29ybGQsIHRoaXMgaXMgbm8gdG9rZW4="), zap.String("name", "Zoë ☃"), zap.String("lower", "eyj"+strings.Repeat("a", 40)),
			zap.String("id", "dGhlIHNhbXBsZSBub25jZQ=="), zap.Error(errors.New("a\nb")))
	}
	plain := func(format string) string {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		defer cancel()
		mod, err := ctx.LoadModuleByID("caddy.logging.encoders."+format, json.RawMessage(`{"time_format":"wall","time_key":""}`))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		write(zap.New(zapcore.NewCore(mod.(zapcore.Encoder), zapcore.AddSync(&b), zapcore.DebugLevel)))
		return b.String()
	}
	for _, format := range []string{"json", "console"} {
		l, b := redactingLogger(t, `{"format":"`+format+`","time_format":"wall","time_key":""}`)
		write(l)
		if cut := func(s string) string { return s[strings.Index(s, "login"):] }; cut(b.String()) != cut(plain(format)) {
			t.Errorf("%s:\n%s\nwithout the encoder\n%s", format, b, plain(format))
		}
	}
}

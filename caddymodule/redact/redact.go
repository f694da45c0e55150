package redact

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/chatgate/chatgate/caddymodule/option"
)

func init() {
	caddy.RegisterModule(Encoder{})
}

// Encoder is the log encoder chatgate_redact. It removes tokens from the lines of another encoder.
//
// Caddy redacts Authorization and Cookie, but not a token in Sec-WebSocket-Protocol, in a query or in a Referer, and copies a
// request for its logs before any handler can remove it. So Encoder searches the finished line for what looks like a JSON Web
// Token, wherever it stands.
type Encoder struct {
	// The encoder whose lines are redacted. Default: json.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	zapcore.Encoder `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (Encoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.chatgate_redact", New: func() caddy.Module { return new(Encoder) }}
}

// Provision loads the wrapped encoder.
func (e *Encoder) Provision(ctx caddy.Context) error {
	if e.WrappedRaw == nil {
		j := new(logging.JSONEncoder)
		e.Encoder = j
		return j.Provision(ctx)
	}
	mod, err := ctx.LoadModule(e, "WrappedRaw")
	if err != nil {
		return fmt.Errorf("loading the wrapped encoder: %w", err)
	}
	e.Encoder = mod.(zapcore.Encoder)
	return nil
}

// UnmarshalCaddyfile reads the encoder. Syntax:
//
//	format chatgate_redact {
//	    wrap <encoder> [{ … }]
//	}
func (e *Encoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the encoder's name
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate_redact names its encoder in a block: wrap %s", d.Val(), d.Val())
	}
	_, err := option.Block{Of: "chatgate_redact", Table: e.Options()}.Read(d)
	return err
}

// Options implements [option.Holder].
func (e *Encoder) Options() option.Table {
	return option.Table{option.Func("wrap", "the name of another encoder, with its options", e.unmarshalWrap).Default("json")}
}

func (e *Encoder) unmarshalWrap(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("wrap needs the name of an encoder, such as json or console")
	}
	name := d.Val()
	unm, err := caddyfile.UnmarshalModule(d, "caddy.logging.encoders."+name)
	if err != nil {
		return err
	}
	enc, ok := unm.(zapcore.Encoder)
	if !ok {
		return d.Errf("%s is not an encoder", name)
	}
	e.WrappedRaw = caddyconfig.JSONModuleObject(enc, "format", name, nil)
	return nil
}

// Clone implements zapcore.Encoder.
func (e *Encoder) Clone() zapcore.Encoder { return &Encoder{Encoder: e.Encoder.Clone()} }

// AddReflected implements zapcore.Encoder. It answers the probe of [In].
func (e *Encoder) AddReflected(key string, value any) error {
	if p, ok := value.(*probe); ok {
		p.found = true
		return nil
	}
	return e.Encoder.AddReflected(key, value)
}

// EncodeEntry implements zapcore.Encoder.
func (e *Encoder) EncodeEntry(ent zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	buf, err := e.Encoder.EncodeEntry(ent, fields)
	if err != nil {
		return nil, err
	}
	if clean := redact(buf.Bytes()); clean != nil {
		buf.Reset()
		_, _ = buf.Write(clean)
	}
	return buf, nil
}

// joseStart is `{"`, with which every JOSE header begins, in base64url.
const joseStart = "eyJ"

const (
	minToken    = 20 // characters
	replacement = "[token]"
)

// redact returns line with its tokens replaced, or nil if it has none.
func redact(line []byte) []byte {
	var out []byte
	done := 0
	for i := 0; ; {
		at := bytes.Index(line[i:], []byte(joseStart))
		if at < 0 {
			break
		}
		start := i + at
		end := start
		for end < len(line) && tokenByte(line[end]) {
			end++
		}
		i = end
		if end-start < minToken {
			continue
		}
		out = append(append(out, line[done:start]...), replacement...)
		done = end
	}
	if done == 0 {
		return nil
	}
	return append(out, line[done:]...)
}

func tokenByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_' || c == '.'
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Encoder)(nil)
	_ zapcore.Encoder       = (*Encoder)(nil)
	_ caddyfile.Unmarshaler = (*Encoder)(nil)
	_ option.Holder         = (*Encoder)(nil)
)

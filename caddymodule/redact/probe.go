package redact

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// In reports whether a Encoder is among the encoders of a core: a field of a copy of it that nothing is written
// with is encoded at once, and a Encoder knows what is asked.
func In(core zapcore.Core) bool {
	p := new(probe)
	core.With([]zapcore.Field{zap.Inline(p)})
	return p.found
}

type probe struct{ found bool }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (p *probe) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return enc.AddReflected("chatgate", p)
}

package redact

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// In reports whether a core encodes with an [Encoder]. It adds a probe to a copy of the core, which encodes it at once; an Encoder
// recognizes it. Nothing is written.
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

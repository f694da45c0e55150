package relay

import (
	"bytes"
	"sync"
	"time"
)

// downLines is where a relay of lines is in what it passes to the downstream. toDn's lock guards it.
type downLines struct {
	inside bool   // a line has begun, and not ended
	words  []byte // of ours, that wait for its end
}

// maxWords bounds what waits for the end of a line, if that never comes.
const maxWords = 16 << 10

// passUpLocked passes on what the filter leaves of b. What it answers is said before the upstream can answer the rest.
func (p *pump) passUpLocked(b []byte) error {
	raw := p.relay.raw
	first, rest, say := raw.Filter.Judge(b)
	if len(say) > 0 {
		if err := p.relay.toDn.say(say); err != nil {
			return err
		}
	}
	for _, b := range [2][]byte{first, rest} {
		if len(b) == 0 {
			continue
		}
		if err := p.writeLocked(b); err != nil {
			return p.failLocked(err)
		}
	}
	raw.move()
	return nil
}

// passDownLocked passes on b, and what waits for the end of a line behind the last one that ends in it.
func (p *pump) passDownLocked(b []byte) error {
	raw := p.relay.raw
	raw.move()
	if len(raw.down.words) > 0 {
		if end := bytes.LastIndexByte(b, '\n') + 1; end > 0 {
			words := raw.down.words
			raw.down.words = nil
			for _, b := range [2][]byte{b[:end], words} {
				if err := p.writeLocked(b); err != nil {
					return p.failLocked(err)
				}
			}
			raw.down.inside, b = false, b[end:]
		}
	}
	if len(b) == 0 {
		return nil
	}
	if err := p.writeLocked(b); err != nil {
		return p.failLocked(err)
	}
	raw.down.inside = b[len(b)-1] != '\n'
	return nil
}

// say tells dst something, at once or when the line ends that is under way.
func (p *pump) say(words []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	down := &p.relay.raw.down
	switch {
	case p.over:
		return nil
	case down.inside:
		if len(down.words)+len(words) <= maxWords {
			down.words = append(down.words, words...)
		}
		return nil
	}
	if err := p.writeLocked(words); err != nil {
		return p.failLocked(err)
	}
	return nil
}

// farewell ends a stream of lines: both sides are told, where they are between two lines, and then nothing more. The
// downstream has a moment to see why.
func (r *Relay) farewell(code CloseCode) {
	up, down := r.raw.Filter.Farewell(code)
	var both sync.WaitGroup
	both.Go(func() { r.toUp.lastWords(up) })
	both.Go(func() { r.toDn.lastWords(down) })
	both.Wait()
	r.linger(r.opts.times.close)
}

// lastWords are sent to dst, unless they would stand in the middle of a line, and then its end. A peer that takes nothing
// does not hold this up.
func (p *pump) lastWords(words []byte) {
	_ = p.dst.SetWriteDeadline(time.Now().Add(p.relay.opts.times.flush))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renewAt = clock() + p.relay.opts.times.write // leave it at that
	deaf := p.over
	if !deaf && (p.frames.fromClient || !p.relay.raw.down.inside) { // the filter passes on whole lines only
		_, err := p.dst.Write(words)
		deaf = err != nil
	}
	p.over = true
	if deaf {
		breakOff(p.dst)
	} else {
		_ = p.dst.CloseWrite()
	}
}

package relay

import (
	"bytes"
	"sync"
)

// Lines is the framing of a relay whose bytes consist of lines. It is [Bytes] with a filter, which judges what the client
// may send and has the last word when the connection is ended from here.
type Lines struct {
	Bytes
	Filter Filter // must not be nil
}

// Filter judges what the downstream of a stream of lines sends, in order, however it is cut. One goroutine at a time
// calls it.
type Filter interface {
	// Judge takes the next bytes, which it may change. It returns what goes on to the upstream: first, and then rest,
	// which may be a part of b; and what the downstream is told between two of the upstream's lines. All of them are used
	// up before the next call.
	Judge(b []byte) (first, rest, say []byte)
	// Farewell returns what either side is told between two lines when the connection is ended from here.
	Farewell(code CloseCode) (up, down []byte)
}

func (o Lines) open(r *Relay, readOnly bool) framing {
	s := &lineStream{filter: o.Filter}
	s.init(r, o.Bytes, readOnly)
	return s
}

// lineStream is a byteStream that keeps what we say between two lines.
type lineStream struct {
	byteStream
	filter Filter

	// Guarded by toDn.mu.
	inside bool   // a line to the downstream has begun, and not ended
	words  []byte // ours, which wait for its end
}

// maxWords bounds what waits for the end of a line, if that never comes.
const maxWords = 16 << 10

func (s *lineStream) pass(p *pump, b []byte) (int, error) {
	switch {
	case s.mute(p):
		return len(b), nil
	case p.fromClient:
		return len(b), s.passUp(p, b)
	default:
		return len(b), s.passDown(p, b)
	}
}

// passUp passes on what the filter leaves of b. What the filter answers is said before the upstream can answer the rest.
func (s *lineStream) passUp(p *pump, b []byte) error {
	first, rest, say := s.filter.Judge(b)
	if len(say) > 0 {
		if err := s.say(&p.relay.toDn, say); err != nil {
			return err
		}
	}
	err := s.write(p, first, rest)
	if err == nil {
		s.silence.move()
	}
	return err
}

// passDown passes on b, and behind the last line that ends in it what waits for that.
func (s *lineStream) passDown(p *pump, b []byte) error {
	s.silence.move()
	var words []byte
	end := 0
	if len(s.words) > 0 {
		if end = bytes.LastIndexByte(b, '\n') + 1; end > 0 {
			words, s.words = s.words, nil
		}
	}
	s.inside = b[len(b)-1] != '\n'
	return s.write(p, b[:end], words, b[end:])
}

// say tells the downstream something, at once or when the line ends that is under way.
func (s *lineStream) say(down *pump, words []byte) error {
	down.mu.Lock()
	defer down.mu.Unlock()
	switch {
	case down.over:
		return nil
	case s.inside:
		if len(s.words)+len(words) <= maxWords {
			s.words = append(s.words, words...)
		}
		return nil
	}
	return s.write(down, words)
}

// farewell tells both sides the filter's last words, unless they are in the middle of a line. The downstream has a moment
// to read them.
func (s *lineStream) farewell(code, _ CloseCode) {
	r := s.silence.relay
	up, down := s.filter.Farewell(code)
	var both sync.WaitGroup
	both.Go(func() { s.lastWords(&r.toUp, up) })
	both.Go(func() { s.lastWords(&r.toDn, down) })
	both.Wait()
	r.linger(r.times.close)
}

// lastWords writes words to dst, unless they would stand inside a line, and ends it. A peer that reads nothing does not
// hold this up.
func (s *lineStream) lastWords(p *pump, words []byte) {
	p.lockLast()
	defer p.mu.Unlock()
	deaf := p.over
	if !deaf && (p.fromClient || !s.inside) { // the filter passes on whole lines only
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

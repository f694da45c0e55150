//go:build unix

package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// rawConn returns the descriptor of a plain connection, on which we can wait without holding a buffer; nil for any other.
// What wraps a connection has a reason to, and is read through its own Read.
func rawConn(c Conn) syscall.RawConn {
	var sc syscall.Conn
	switch c := c.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// runRaw reads when there is something to read, into a pooled buffer that is given back before the next wait.
//
// A read that comes back short has emptied the socket, so the usual second read that finds nothing is left out: the
// poller is edge-triggered and reports what arrives from here on. The one thing that can hide behind a short read is
// the end of the stream, when it came in the same event as the data. Once what src sends is discarded, the end is expected
// and looked for at once. Otherwise a read deadline makes us look again within framing.lookEvery. For what comes less often
// than that, as most of a chat does, a second read is cheaper than a timer.
func (p *pump) runRaw(raw syscall.RawConn) error {
	var result error
	for {
		err := raw.Read(func(fd uintptr) bool {
			for {
				more, err := p.readRaw(int(fd))
				if err != nil {
					result = err
					return true
				}
				if !more {
					return false
				}
			}
		})
		if err == nil {
			return result
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !p.resume() {
			return err
		}
	}
}

// readRaw reads once and reports whether another read would find something.
func (p *pump) readRaw(fd int) (more bool, err error) {
	buf := buffers.Get().(*[largeBuffer]byte)
	defer buffers.Put(buf)
	off := copy(buf[:], p.held[:p.nheld])
	n, err := ignoringEINTR(fd, buf[off:])
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false, nil
	case err != nil:
		return false, os.NewSyscallError("read", err)
	case n == 0:
		return false, io.EOF
	}
	if err := p.pass(buf[:off+n]); err != nil {
		return false, err
	}
	if off+n == largeBuffer || p.discard {
		return true, nil
	}
	return p.checkLater(), nil
}

func ignoringEINTR(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// checkLater arms the read deadline that makes us look again, unless one is armed. It returns true if we should look at
// once instead.
func (p *pump) checkLater() (now bool) {
	if p.checking {
		return false
	}
	every := p.relay.framing.lookEvery()
	quiet := clock() - p.checkedAt
	if p.checkedAt += quiet; quiet > every {
		return true
	}
	p.dl.Lock()
	defer p.dl.Unlock()
	if !p.pinned {
		p.checking = true
		_ = p.src.SetReadDeadline(time.Now().Add(every))
	}
	return false
}

// resume removes a deadline that was only there to make us look again. It returns false if the deadline was a last one.
func (p *pump) resume() bool {
	p.dl.Lock()
	defer p.dl.Unlock()
	if p.pinned {
		return false
	}
	p.checking = false
	_ = p.src.SetReadDeadline(time.Time{})
	return true
}

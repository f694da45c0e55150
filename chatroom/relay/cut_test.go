package relay

import (
	"fmt"
	"os"
	"testing"
)

// cut is a connection whose reading ends with err after the first read, although its peer is still there.
type cut struct {
	Conn
	err  error
	read bool
}

func (c *cut) Read(b []byte) (int, error) {
	if c.read {
		return 0, c.err
	}
	c.read = true
	return c.Conn.Read(b)
}

// TestCut: where somebody else's limit or deadline ends reading, both peers are told before they are left.
func TestCut(t *testing.T) {
	for _, err := range []error{ErrCut, fmt.Errorf("a deadline: %w", os.ErrDeadlineExceeded)} {
		for _, side := range []string{"client", "upstream"} {
			t.Run(fmt.Sprint(side, " ", err), func(t *testing.T) {
				r := newRig(t, "tcp", "tcp", Options{times: brisk}, nil, nil)
				speaker, hearer := r.client, r.upstream
				if side == "client" {
					r.toUp.src = &cut{Conn: r.toUp.src, err: err}
				} else {
					r.toDn.src = &cut{Conn: r.toDn.src, err: err}
					speaker, hearer = hearer, speaker
				}
				r.Start()
				speaker.say("hello")
				hearer.hears("hello")
				r.client.told(CloseGoingAway)
				r.upstream.told(CloseGoingAway)
				_, _ = r.client.Close(), r.upstream.Close()
				r.over(wait)
			})
		}
	}
}

package tcptest_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/tcptest"
)

func TestServe(t *testing.T) {
	var addr string
	var waiting net.Conn
	returned := make(chan struct{}, 2)
	t.Run("while the test runs", func(t *testing.T) {
		addr = tcptest.Serve(t, func(c net.Conn) {
			_, _ = io.Copy(c, io.LimitReader(c, 2))
			time.Sleep(10 * time.Millisecond) // a test that does not wait for it fails
			returned <- struct{}{}
		})
		for _, text := range []string{"hi", "x"} { // the second is served until the end
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(text))
			if _, err := c.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
				t.Fatalf("%q, %v", got, err)
			}
			if text == "hi" {
				if n, err := c.Read(got); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("after serve has returned: %d, %v", n, err)
				}
				c.Close()
				<-returned
			}
			waiting = c
		}
	})
	if len(returned) != 1 {
		t.Error("the test ended before serve had returned")
	}
	if n, err := waiting.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a connection is open after the test: %d, %v", n, err)
	}
	waiting.Close()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("it listens after the test")
	}
}

package attack

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// tunnel is the stream of an extended CONNECT.
type tunnel struct {
	status int
	header http.Header
	w      io.Writer
	r      *bufio.Reader
}

func (s *tunnel) send(t testing.TB, b []byte) {
	t.Helper()
	if _, err := s.w.Write(b); err != nil {
		t.Fatalf("writing to the stream: %v", err)
	}
}

func (s *tunnel) frame(t testing.TB) gatetest.Frame {
	t.Helper()
	f, err := gatetest.ReadFrame(s.r)
	if err != nil {
		t.Fatalf("reading a frame: %v", err)
	}
	return f
}

// connect opens a stream with :method CONNECT, a :protocol unless it is empty, and more fields, in pairs.
type connect func(t *testing.T, g *gatetest.Gateway, protocol, path string, fields ...string) *tunnel

var timeout = 20 * time.Second

func insecure(next string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{next}}
}

// connectH2 speaks HTTP/2 frame by frame, so that no client's own checks are in the way.
func connectH2(t *testing.T, g *gatetest.Gateway, protocol, path string, fields ...string) *tunnel {
	t.Helper()
	pseudo := []string{":method", "CONNECT", ":authority", g.HTTPS}
	if protocol != "" {
		pseudo = append(pseudo, ":protocol", protocol, ":scheme", "https", ":path", path)
	}
	return askH2(t, g, nil, append(pseudo, fields...)...)
}

// askH2 sends a request of any fields, the pseudo ones included, and what then sends, and waits for the answer.
func askH2(t *testing.T, g *gatetest.Gateway, then func(*http2.Framer), fields ...string) *tunnel {
	t.Helper()
	fr := sendH2(t, g, fields...)
	if then != nil {
		then(fr)
	}
	s := &h2stream{fr: fr}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatalf("waiting for the answer: %v", err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			tun := &tunnel{header: make(http.Header), w: s, r: bufio.NewReader(s)}
			for _, h := range f.Fields {
				if h.Name == ":status" {
					tun.status, _ = strconv.Atoi(h.Value)
				} else {
					tun.header.Add(h.Name, h.Value)
				}
			}
			return tun
		case *http2.RSTStreamFrame:
			return &tunnel{status: -1}
		default:
			s.control(f)
		}
	}
}

// sendH2 sends the head of a request as stream 1 of a new connection.
func sendH2(t *testing.T, g *gatetest.Gateway, fields ...string) *http2.Framer {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", g.HTTPS, insecure("h2"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(timeout))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	fr := http2.NewFramer(c, c)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := fr.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	return fr
}

type h2stream struct {
	fr   *http2.Framer
	rest []byte
	over bool
}

func (s *h2stream) control(f http2.Frame) {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = s.fr.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = s.fr.WritePing(true, f.Data)
		}
	}
}

func (s *h2stream) Write(b []byte) (int, error) { return len(b), s.fr.WriteData(1, false, b) }

func (s *h2stream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.over {
			return 0, io.EOF
		}
		f, err := s.fr.ReadFrame()
		if err != nil {
			return 0, err
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			s.rest, s.over = append([]byte(nil), f.Data()...), f.StreamEnded()
		case *http2.RSTStreamFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return 0, fmt.Errorf("the stream was reset: %v", f.ErrCode)
			}
			s.over = true
		case *http2.GoAwayFrame:
			return 0, errors.New("GOAWAY")
		default:
			s.control(f)
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func connectH3(t *testing.T, g *gatetest.Gateway, protocol, path string, fields ...string) *tunnel {
	t.Helper()
	u, err := url.Parse("https://" + g.HTTPS + path)
	if err != nil {
		t.Fatal(err)
	}
	h := make(http.Header)
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return askH3(t, g, &http.Request{Method: http.MethodConnect, Proto: protocol, Host: g.HTTPS, URL: u, Header: h})
}

// askH3 sends a request without a body, or begins that of a tunnel, and waits for the answer.
func askH3(t *testing.T, g *gatetest.Gateway, r *http.Request) *tunnel {
	t.Helper()
	str, err := streamtest.DialHTTP3(t, g.HTTPS).OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = str.SetDeadline(time.Now().Add(timeout))
	if err := str.SendRequestHeader(r); err != nil {
		t.Fatal(err)
	}
	if r.Method != http.MethodConnect {
		_ = str.Close()
	}
	resp, err := str.ReadResponse()
	if err != nil {
		return &tunnel{status: -1}
	}
	return &tunnel{status: resp.StatusCode, header: resp.Header, w: str, r: bufio.NewReader(str)}
}

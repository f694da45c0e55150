package relay

import (
	"bytes"
	"io"
	"testing"
)

// BenchmarkRelay echoes a message of 128 bytes through a relay: two frames, four system calls of ours.
func BenchmarkRelay(b *testing.B) {
	benchmarkEcho(b, Options{}, frame(fin, opText, masked, make([]byte, 128)), frame(fin, opText, bare, make([]byte, 128)))
}

// BenchmarkRawRelay echoes 128 bytes through a relay without frames.
func BenchmarkRawRelay(b *testing.B) {
	benchmarkEcho(b, Options{Framing: Bytes{}}, make([]byte, 128), make([]byte, 128))
}

// BenchmarkFilteredRelay is BenchmarkRawRelay with a filter that looks at nothing.
func BenchmarkFilteredRelay(b *testing.B) {
	lines := bytes.Repeat([]byte("\n"), 128)
	benchmarkEcho(b, Options{Framing: Lines{Filter: blind{}}}, lines, lines)
}

type blind struct{}

func (blind) Judge(b []byte) (first, rest, say []byte) { return nil, b, nil }
func (blind) Farewell(CloseCode) (up, down []byte)     { return nil, nil }

// benchmarkEcho sends ping through a relay of each kind, and has the upstream answer it with pong.
func benchmarkEcho(b *testing.B, o Options, ping, pong []byte) {
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			r := startRig(b, kind, o)
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer r.upstream.Close() // what has no reset only half-closes
				buf := make([]byte, len(ping))
				for {
					if _, err := io.ReadFull(r.upstream.Conn, buf); err != nil {
						return
					}
					if _, err := r.upstream.Write(pong); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, len(pong))
			b.ReportAllocs()
			b.SetBytes(256)
			for b.Loop() {
				if _, err := r.client.Write(ping); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r.client.Conn, buf); err != nil {
					b.Fatal(err)
				}
			}
			r.client.reset()
			r.over(patience)
			<-done
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for name, size := range map[string]int{"128 bytes": 128, "16 KiB": 16 << 10} {
		b.Run(name, func(b *testing.B) {
			msg := frame(fin, opText, masked, make([]byte, size))
			f := scanner{fromClient: true, maxMessage: 1 << 20}
			b.ReportAllocs()
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				if n, code := f.scan(msg); n != len(msg) || code != 0 {
					b.Fatal(n, code)
				}
			}
		})
	}
}

package chatroom

import (
	"io"
	"testing"
)

// BenchmarkRelay echoes a message of 128 bytes through a relay: two frames, four system calls of ours.
func BenchmarkRelay(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			r := startRig(b, kind, RelayOptions{})
			ping, pong := frame(fin, opText, masked, make([]byte, 128)), frame(fin, opText, bare, make([]byte, 128))
			done := make(chan struct{})
			go func() {
				defer close(done)
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
			f := frames{fromClient: true, maxMessage: 1 << 20}
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

//go:build linux

package redistest

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/chatgate/chatgate/internal/certtest"
)

// TLS is a Redis server that speaks TLS alone, and the files that a client of it needs.
type TLS struct {
	Addr string
	CA   string // of the server's certificate, which is for 127.0.0.1
	Cert string // of a client
	Key  string

	process process
}

// StartTLS makes a server whose certificate a CA of its own has signed. With "tls-auth-clients", "yes" it wants one from
// its clients, too.
func StartTLS(t testing.TB, settings ...string) *TLS {
	t.Helper()
	Find(t)
	dir := tempDir(t)
	ca := certtest.NewAuthority(t, dir)
	server, pair := ca.Issue(t, "server", "127.0.0.1"), ca.Issue(t, "client", "127.0.0.1")
	s := &TLS{CA: ca.File, Cert: pair.CertFile, Key: pair.KeyFile}
	t.Cleanup(s.process.stop)
	for try := 1; ; try++ {
		s.Addr = freeAddr(t)
		_, port, err := net.SplitHostPort(s.Addr)
		must(t, err)
		args := []string{
			"redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--dir", dir, "--save", "",
			"--tls-cert-file", server.CertFile, "--tls-key-file", server.KeyFile, "--tls-ca-cert-file", s.CA,
		}
		if len(settings) == 0 {
			settings = []string{"tls-auth-clients", "no"}
		}
		for i := 0; i+1 < len(settings); i += 2 {
			args = append(args, "--"+settings[i], settings[i+1])
		}
		must(t, s.process.start(dir, args...))
		client := redis.NewClient(&redis.Options{
			Addr: s.Addr, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			TLSConfig: &tls.Config{
				MinVersion: tls.VersionTLS12, RootCAs: ca.Pool, Certificates: []tls.Certificate{pair.TLS},
			},
		})
		err = s.process.await(s.Addr, ping(client))
		_ = client.Close()
		if err == nil {
			return s
		}
		if try == 3 {
			t.Fatal(err)
		}
		s.process.stop()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

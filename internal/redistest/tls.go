//go:build linux

package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
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
	at := func(name string) string { return filepath.Join(dir, name) }
	s := &TLS{CA: at("ca.pem"), Cert: at("client.pem"), Key: at("client.key")}
	ca := newCertificate(t, nil, at("ca.pem"), at("ca.key"))
	newCertificate(t, ca, at("server.pem"), at("server.key"))
	pair := newCertificate(t, ca, s.Cert, s.Key)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	t.Cleanup(s.process.stop)
	for try := 1; ; try++ {
		s.Addr = freeAddr(t)
		_, port, err := net.SplitHostPort(s.Addr)
		must(t, err)
		args := []string{
			"redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--dir", dir, "--save", "",
			"--tls-cert-file", at("server.pem"), "--tls-key-file", at("server.key"), "--tls-ca-cert-file", s.CA,
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
				MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{*pair},
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

// newCertificate writes a certificate for 127.0.0.1, or that of a CA where there is none to sign it, and its key.
func newCertificate(t testing.TB, ca *tls.Certificate, certFile, keyFile string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: filepath.Base(certFile)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if ca == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	} else {
		parent, signer = ca.Leaf, ca.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

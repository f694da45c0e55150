package certtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/chatgate/chatgate/internal/certtest"
)

func TestIssue(t *testing.T) {
	ours, theirs := certtest.NewAuthority(t, t.TempDir()), certtest.NewAuthority(t, t.TempDir())
	for _, hosts := range [][]string{{"127.0.0.1"}, {"localhost"}, {"127.0.0.1", "localhost"}} {
		p := ours.Issue(t, "server", hosts...)
		if _, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile); err != nil {
			t.Error(err)
		}
		for _, c := range []struct {
			name  string
			roots *x509.CertPool
			good  bool
		}{{hosts[0], ours.Pool, true}, {hosts[len(hosts)-1], ours.Pool, true}, {hosts[0], theirs.Pool, false}, {"other.example", ours.Pool, false}} {
			for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				_, err := p.TLS.Leaf.Verify(x509.VerifyOptions{DNSName: c.name, Roots: c.roots, KeyUsages: []x509.ExtKeyUsage{use}})
				if (err == nil) != c.good {
					t.Errorf("the certificate for %q, as %q: %v", hosts, c.name, err)
				}
			}
		}
	}
}

package gatetest

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// AwaitCertificate waits until a listener has its certificate, which is issued after the start. It is for localhost, unless
// addr has another host name.
func AwaitCertificate(t testing.TB, addr string) {
	t.Helper()
	host, _, _ := net.SplitHostPort(addr)
	if net.ParseIP(host) != nil {
		host = "localhost"
	}
	d := &net.Dialer{Timeout: 5 * time.Second}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // which a busy machine may need
		c, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: host})
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate of %s: %v", addr, err)
		}
	}
}

package checks

import (
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// thisHost is the normal form of every name and address of this machine.
const thisHost = "localhost"

// normalAddress returns the normal form of an upstream's address, which is the same for all of its spellings. It reports false
// if the address has a placeholder that only a request can fill in.
func normalAddress(address string, own map[netip.Addr]bool) (normal string, ok bool) {
	if strings.Contains(address, "{") {
		if address = caddy.NewReplacer().ReplaceKnown(address, ""); strings.Contains(address, "{") {
			return "", false
		}
	}
	scheme, rest, hasScheme := strings.Cut(address, "://")
	port := "80"
	if hasScheme {
		if address = strings.TrimSuffix(rest, "/"); scheme == "https" || scheme == "wss" {
			port = "443"
		}
	}
	network, host, given, err := caddy.SplitNetworkAddress(address)
	switch {
	case err != nil: // a host without a port
		network, host = "", strings.Trim(address, "[]")
	case caddy.IsUnixNetwork(network):
		file, _, _ := strings.Cut(host, "|") // permissions
		return "unix/" + path.Clean(file), true
	case given != "":
		port = given
	}
	if strings.HasPrefix(network, "udp") {
		return "", false
	}
	return net.JoinHostPort(normalHost(host, own), port), true
}

// normalHost returns the normal form of a host.
func normalHost(host string, own map[netip.Addr]bool) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || host == thisHost || strings.HasSuffix(host, "."+thisHost) {
		return thisHost
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return host
	}
	addr = addr.Unmap()
	if addr.IsUnspecified() || addr == netip.IPv6Loopback() || addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || own[addr] {
		return thisHost
	}
	return addr.String()
}

// ownAddresses returns the addresses of this machine.
func ownAddresses() map[netip.Addr]bool {
	own := make(map[netip.Addr]bool)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return own
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && !prefix.Addr().IsLoopback() {
			own[prefix.Addr().Unmap()] = true
		}
	}
	return own
}

// openTo reports whether a server listens on a port of a public address, and returns that address. An empty port is any.
func openTo(listen []string, port string) (string, bool) {
	for _, l := range listen {
		a, err := caddy.ParseNetworkAddress(l)
		if err != nil || a.IsUnixNetwork() || a.IsFdNetwork() {
			continue
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if port != "" && (err != nil || uint(n) < a.StartPort || uint(n) > a.EndPort) {
			continue
		}
		if addr, err := netip.ParseAddr(a.Host); a.Host == thisHost || err == nil && addr.IsLoopback() {
			continue
		}
		return l, true
	}
	return "", false
}

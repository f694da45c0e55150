package checks

import (
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// here stands for this machine, by whichever of its names.
const here = "localhost"

// dialled returns the normal form of an address, in which two spellings of one upstream are equal. It is not ok where the
// address is only known with a request, by a placeholder.
func dialled(address string, own map[netip.Addr]bool) (normal string, ok bool) {
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
	case err != nil: // a host alone
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
	return net.JoinHostPort(machine(host, own), port), true
}

// machine is the normal form of a host.
func machine(host string, own map[netip.Addr]bool) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || host == here || strings.HasSuffix(host, "."+here) {
		return here
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return host
	}
	addr = addr.Unmap()
	if addr.IsUnspecified() || addr == netip.IPv6Loopback() || addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || own[addr] {
		return here
	}
	return addr.String()
}

// ownAddresses are those of this machine.
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

// openTo reports whether a server listens on a port for others than this machine, and the address at which it does.
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
		if addr, err := netip.ParseAddr(a.Host); a.Host == here || err == nil && addr.IsLoopback() {
			continue
		}
		return l, true
	}
	return "", false
}

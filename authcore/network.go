package authcore

import (
	"context"
	"net/netip"
	"time"
)

// widerRate is how much larger the budget of a network is than that of each network in it.
const widerRate = 4

// widerNetworks are the IPv6 networks that limits also count, from narrow to wide: what a provider gives to a subscriber,
// and to a company. Otherwise whoever has a /56 has 256 budgets.
var widerNetworks = [...]int{56, 48}

// AddrKey returns the part of a client's address that limits count: an IPv4 address, or the /64 of an IPv6 address,
// since every subscriber has at least a /64.
func AddrKey(a netip.Addr) string { return networks(a)[0] }

// networks returns the networks of a client's address that limits count, from narrow to wide: an IPv4 address alone, or
// the /64, the /56 and the /48 of an IPv6 address.
func networks(a netip.Addr) []string {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return []string{a.String()}
	}
	all := []string{netip.PrefixFrom(a, 64).Masked().String()}
	for _, bits := range widerNetworks {
		all = append(all, netip.PrefixFrom(a, bits).Masked().String())
	}
	return all
}

// take counts a request against the budgets of its client's networks. It stops at the first that is used up, so that what
// is refused to a narrow network costs a wide one nothing. Kinds: RateLimited, Unavailable.
func (s *Service) take(ctx context.Context, class LimitClass, c Client, r Rate) error {
	for _, network := range networks(c.Addr) {
		wait, err := query(ctx, "counting a request", func(ctx context.Context) (time.Duration, error) {
			return s.state.options.Limits.Take(ctx, class, network, r)
		})
		if err != nil {
			return err
		}
		if wait > 0 {
			return rateLimited(wait)
		}
		r.Burst *= widerRate
	}
	return nil
}

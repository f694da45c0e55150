package authcore

import (
	"context"
	"time"
)

// How long a network stays known to an account without a login, and how often its use is stored.
const (
	keepNetworks      = 180 * 24 * time.Hour
	noteNetworksEvery = 24 * time.Hour
	maxNotedNetworks  = 1 << 16 // remembered in this process
)

// networkHash is what is stored of the network that a client reaches an account from: the narrowest that limits count, so
// that nobody else comes from it. It is a keyed hash, and useless for another account.
func (st *State) networkHash(account AccountID, c Client) []byte {
	return hashFields(st.codeKey, "network", string(account), AddrKey(c.Addr))
}

// knows reports whether somebody proved to own an account from the network of a client before. It does the same work for
// an account that does not exist. Kinds: Unavailable.
func (s *Service) knows(ctx context.Context, account AccountID, c Client) (bool, error) {
	st := s.state
	if st.options.Networks == nil {
		return false, nil
	}
	network := st.networkHash(account, c)
	if _, noted := st.noted.Get(string(network)); noted {
		return true, nil
	}
	return query(ctx, "looking up a network", func(ctx context.Context) (bool, error) {
		return st.options.Networks.KnowsNetwork(ctx, account, network)
	})
}

// noteNetwork makes the network of a client known to an account whose owner it just proved to be.
func (s *Service) noteNetwork(account AccountID, c Client) {
	st := s.state
	if st.options.Networks == nil {
		return
	}
	network, now := st.networkHash(account, c), s.wholeNow()
	if at, noted := st.noted.Get(string(network)); noted && now.Sub(at) < noteNetworksEvery {
		return
	}
	st.noted.Add(string(network), now) // at once, for the next login
	started := st.background(context.Background(), "noting a network", func(ctx context.Context) error {
		err := st.options.Networks.NoteNetwork(ctx, account, network, now)
		if err != nil {
			st.noted.Add(string(network), time.Time{}) // the next login tries again
		}
		return err
	})
	if !started {
		st.noted.Add(string(network), time.Time{})
	}
}

package authcore

import (
	"context"
	"maps"
	"time"
)

func (m *memory) NoteNetwork(ctx context.Context, account AccountID, network []byte, now time.Time) error {
	return m.do(ctx, "NoteNetwork", func() error {
		if m.networks[account] == nil {
			m.networks[account] = make(map[string]time.Time)
		}
		if at := m.networks[account][string(network)]; kept(now).After(at) {
			m.networks[account][string(network)] = kept(now)
		}
		return nil
	})
}

func (m *memory) KnowsNetwork(ctx context.Context, account AccountID, network []byte) (bool, error) {
	return result(ctx, m, "KnowsNetwork", func() (bool, error) {
		_, known := m.networks[account][string(network)]
		return known, nil
	})
}

func (m *memory) DeleteNetworks(ctx context.Context, before time.Time) error {
	return m.do(ctx, "DeleteNetworks", func() error {
		for _, networks := range m.networks {
			maps.DeleteFunc(networks, func(_ string, at time.Time) bool { return at.Before(kept(before)) })
		}
		return nil
	})
}

var _ NetworkStore = (*memory)(nil)

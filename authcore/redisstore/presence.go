package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/chatgate/chatgate/authcore"
)

// Each node has a key for each account with connections to it, which expires by itself:
//
//	<prefix>:{<account>}:live:<node>    the number of connections of each session there
//
// Only the keys of nodes that the feed knows count, so those of a node that has ended do not.
const presenceLasts = 30 * time.Minute

// sentAtOnce is the maximum of commands in a pipeline, so that none takes long.
const sentAtOnce = 500

// presence is the connections of one account to one node. It names the account, so that readers notice a wrong key.
type presence struct {
	Account  authcore.AccountID         `json:"account"`
	Sessions map[authcore.SessionID]int `json:"sessions"`
}

func (s *Store) presenceKey(account authcore.AccountID, node string) string {
	return accountKey(s.o.Prefix, account, "live:"+node)
}

// SetPresence implements [authcore.PresenceStore].
func (s *Store) SetPresence(ctx context.Context, accounts map[authcore.AccountID]map[authcore.SessionID]int) error {
	pipe := s.client.Pipeline()
	send := func() error {
		return s.call(ctx, "store presence", func(ctx context.Context) error {
			_, err := pipe.Exec(ctx)
			return err
		})
	}
	for account, sessions := range accounts {
		key := s.presenceKey(account, s.node)
		if len(sessions) == 0 {
			pipe.Del(ctx, key)
		} else {
			raw, err := encodePresence(presence{account, sessions})
			if err != nil {
				return err
			}
			pipe.Set(ctx, key, raw, presenceLasts)
		}
		if pipe.Len() >= sentAtOnce {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	return send()
}

func encodePresence(p presence) ([]byte, error) {
	valid := utf8.ValidString(string(p.Account))
	for id := range p.Sessions {
		valid = valid && utf8.ValidString(string(id))
	}
	if !valid {
		return nil, errNotText
	}
	return json.Marshal(p)
}

// Presence implements [authcore.PresenceStore].
func (s *Store) Presence(ctx context.Context, account authcore.AccountID) (map[authcore.SessionID]int, error) {
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(nodes, s.node) {
		nodes = append(nodes, s.node) // it counts even while it does not follow the feed
	}
	keys := make([]string, len(nodes))
	for i, node := range nodes {
		keys[i] = s.presenceKey(account, node)
	}
	var values []any
	err = s.call(ctx, "read presence", func(ctx context.Context) (err error) {
		values, err = s.client.MGet(ctx, keys...).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	total := make(map[authcore.SessionID]int)
	for i, v := range values {
		raw, ok := v.(string)
		if !ok {
			continue // no connections there
		}
		var p presence
		if err := json.Unmarshal([]byte(raw), &p); err != nil {
			return nil, fmt.Errorf("read presence: %w", err)
		}
		if p.Account != account {
			return nil, fmt.Errorf("read presence: %q names another account", keys[i])
		}
		for id, n := range p.Sessions {
			total[id] += n
		}
	}
	return total, nil
}

var _ authcore.PresenceStore = (*Store)(nil)

package authcore_test

import (
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/storetest"
)

// TestMemory: the store that the tests of this package rely on is a store, and the suite asks for nothing that only a
// database could give.
func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Stores {
		m := authcore.NewMemory()
		return storetest.Stores{
			Accounts: m, Sessions: m, Revocations: m, Codes: m, Invites: m, Phones: m, Devices: m, Networks: m, Keys: m,
		}
	})
}

func TestMemoryLimits(t *testing.T) {
	storetest.RunLimits(t, func(t *testing.T, now func() time.Time) authcore.LimitStore {
		m, err := authcore.NewMemoryLimits(now)
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

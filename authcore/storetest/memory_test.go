package storetest_test

import (
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/storetest"
)

func TestMemoryLimits(t *testing.T) {
	storetest.RunLimits(t, func(t *testing.T, now func() time.Time) authcore.LimitStore {
		m, err := authcore.NewMemoryLimits(now)
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

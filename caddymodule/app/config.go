package app

import (
	"runtime"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
)

// BackoffConfig says how failed logins slow an account down: Free attempts at will, then Base, doubling up to Max.
type BackoffConfig struct {
	Free int            `json:"free"`
	Base caddy.Duration `json:"base"`
	Max  caddy.Duration `json:"max"`
}

// HashConfig is the cost of argon2id and the bounds of its use. Zero values are the defaults.
type HashConfig struct {
	MemoryKiB uint32         `json:"memory_kib,omitempty"` // 19456
	Time      uint32         `json:"time,omitempty"`       // 2 passes
	Threads   uint8          `json:"threads,omitempty"`    // 1
	Parallel  int            `json:"parallel,omitempty"`   // hashes at once: the number of processors
	Queue     int            `json:"queue,omitempty"`      // logins that wait: 16 a processor
	Wait      caddy.Duration `json:"wait,omitempty"`       // for how long: 5s
}

func (c *HashConfig) options() authcore.HasherOptions {
	cores := runtime.GOMAXPROCS(0)
	o := authcore.HasherOptions{Cost: authcore.DefaultArgon2, Parallel: cores, Queue: 16 * cores, Wait: 5 * time.Second}
	if c == nil {
		return o
	}
	if c.MemoryKiB != 0 {
		o.Cost.Memory = c.MemoryKiB
	}
	if c.Time != 0 {
		o.Cost.Time = c.Time
	}
	if c.Threads != 0 {
		o.Cost.Threads = c.Threads
	}
	if c.Parallel != 0 {
		o.Parallel = c.Parallel
	}
	if c.Queue != 0 {
		o.Queue = c.Queue
	}
	if c.Wait != 0 {
		o.Wait = time.Duration(c.Wait)
	}
	return o
}

// MaxTokens is what retired signing keys are kept for, whatever session_max is now.
const MaxTokens = 400 * 24 * time.Hour

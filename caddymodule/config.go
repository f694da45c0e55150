package caddymodule

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
)

// RateConfig is a budget, written as <count>/<duration>: 60/1m.
type RateConfig string

func (c RateConfig) rate(option string, otherwise authcore.Rate) (authcore.Rate, error) {
	if c == "" {
		return otherwise, nil
	}
	count, per, ok := strings.Cut(string(c), "/")
	n, err1 := strconv.Atoi(count)
	d, err2 := caddy.ParseDuration(per)
	if !ok || err1 != nil || err2 != nil || n < 1 || n > 1_000_000 || d < time.Second {
		return authcore.Rate{}, fmt.Errorf("%s %q is not a rate; write it as <count>/<duration>, such as 60/1m", option, string(c))
	}
	return authcore.Rate{Burst: n, Per: d}, nil
}

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

// maxTokens is what retired signing keys are kept for, whatever session_max is now.
const maxTokens = 400 * 24 * time.Hour

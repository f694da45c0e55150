package app

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/option"
)

// BackoffConfig says how failed logins delay the next one: the first Free of them not at all, then by Base, doubling up to Max.
type BackoffConfig struct {
	Free int            `json:"free"`
	Base caddy.Duration `json:"base"`
	Max  caddy.Duration `json:"max"`
}

// HashConfig is the cost of argon2id and the limits on hashing. Zero values are the defaults.
type HashConfig struct {
	MemoryKiB uint32         `json:"memory_kib,omitempty"` // 19456
	Time      uint32         `json:"time,omitempty"`       // 2 passes
	Threads   uint8          `json:"threads,omitempty"`    // 1
	Parallel  int            `json:"parallel,omitempty"`   // hashes at once: the number of processors
	Queue     int            `json:"queue,omitempty"`      // logins that wait: 16 a processor
	Wait      caddy.Duration `json:"wait,omitempty"`       // for how long: 5s
}

// Options implements [option.Holder].
func (c *HashConfig) Options() option.Table {
	def := authcore.DefaultPolicy().Hash
	return option.Table{
		hashNumber("memory_kib", &c.MemoryKiB, "8", "262144").DefaultOf(def.Cost.Memory),
		hashNumber("time", &c.Time, "1", "16").DefaultOf(def.Cost.Time),
		hashNumber("threads", &c.Threads, "1", "8").DefaultOf(def.Cost.Threads),
		hashNumber("parallel", &c.Parallel, "1", "1048576").DefaultOf(def.Parallel).DefaultIs("the number of processors"),
		hashNumber("queue", &c.Queue, "1", "1048576").DefaultOf(def.Queue).DefaultIs("16 a processor"),
		option.Duration("wait", &c.Wait).DefaultOf(caddy.Duration(def.Wait)).Called("hash wait").Unbounded("logins may wait any time"),
	}
}

func hashNumber[T int | uint32 | uint8](name string, dst *T, least, most string) *option.Value[T] {
	return option.Number(name, dst).Between(least, most).Called("hash " + name)
}

// check judges the values one by one; [authcore.HasherOptions] judges them together.
func (c *HashConfig) check() error {
	if c == nil {
		return nil
	}
	return c.Options().Check()
}

// options returns the cost of hashing, with defaults in place.
func (c *HashConfig) options() authcore.HasherOptions {
	var f HashConfig
	if c != nil {
		f = *c
	}
	f.Options().Fill()
	return authcore.HasherOptions{
		Cost:     authcore.Argon2{Memory: f.MemoryKiB, Time: f.Time, Threads: f.Threads},
		Parallel: f.Parallel, Queue: f.Queue, Wait: time.Duration(f.Wait),
	}
}

// MaxTokens is how long retired signing keys are kept, whatever session_max is: no token lives longer.
const MaxTokens = 400 * 24 * time.Hour

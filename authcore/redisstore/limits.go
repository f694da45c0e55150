package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
)

// limitKey hashes key, because clients choose names and addresses are private. Half of a SHA-256 is short, and a
// collision would do no harm.
func (s *Store) limitKey(kind string, class authcore.LimitClass, key string) string {
	sum := sha256.Sum256([]byte(key))
	return s.o.Prefix + ":" + kind + ":" + keyPart(string(class)) + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// clock gives a script the time in microseconds, by the server's clock, which all nodes share, or by a test's. Redis
// expires keys by its own clock, so with a test's they are kept an hour longer.
const clock = `
local now, longer = tonumber(ARGV[1]), 3600000
if not now then
	local t = redis.call('TIME')
	now, longer = t[1] * 1000000 + t[2], 0
end
local function keep(text, microseconds)
	redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', math.ceil(microseconds / 1000) + 1 + longer))
end
`

func (s *Store) clock() any {
	if s.o.Now == nil {
		return ""
	}
	return s.o.Now().UnixMicro()
}

// microseconds rounds up, so that no wait is too short.
func microseconds(d time.Duration) int64 { return (d + time.Microsecond - 1).Microseconds() }

// take is the generic cell rate algorithm: it stores when the budget is full again. If the clock went back or the rate
// was changed, more than a whole budget may be missing; then it stores a whole one, or the wait would not get shorter.
var take = newScript(clock + `
local every, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local stored, empty = tonumber(redis.call('GET', KEYS[1]) or 0), now + burst * every
local full = math.max(now, math.min(stored, empty))
local wait = full - (burst - 1) * every - now
if wait > 0 then
	if stored > empty then
		keep(string.format('%.0f', full), full - now)
	end
	return wait
end
full = full + every
keep(string.format('%.0f', full), full - now)
return 0`)

// Take implements [authcore.LimitStore].
func (s *Store) Take(ctx context.Context, class authcore.LimitClass, key string, r authcore.Rate) (time.Duration, error) {
	every := microseconds(r.Per / time.Duration(r.Burst))
	return s.wait(ctx, "count against a budget", take, s.limitKey("rate", class, key), every, r.Burst)
}

// attempts reads the number of failures and the time of the last. It moves a time in the future to now, because a clock
// that went back must not make the wait longer.
const attempts = clock + `
local free, base, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local day = 24 * 3600 * 1000000
local count, last = 0, now
local text = redis.call('GET', KEYS[1])
if text then
	local c, l = string.match(text, '^(%d+) (%d+)$')
	count, last = tonumber(c), tonumber(l)
	if last > now then
		last = now
		keep(string.format('%d %.0f', count, last), day)
	end
	if now - last > day then
		count = 0
	end
end
`

var attempt = newScript(attempts + `
if count >= free and count > 0 then
	local wait = last + math.min(base * 2 ^ math.min(count - free, 62), most) - now
	if wait > 0 then
		return math.ceil(wait)
	end
end
keep(string.format('%d %.0f', count + 1, now), day)
return 0`)

// Attempt implements [authcore.LimitStore].
func (s *Store) Attempt(ctx context.Context, class authcore.LimitClass, key string, b authcore.Backoff) (time.Duration, error) {
	return s.wait(ctx, "count an attempt", attempt, s.limitKey("failures", class, key), backoffArgs(b)...)
}

func backoffArgs(b authcore.Backoff) []any {
	return []any{b.Free, microseconds(b.Base), microseconds(b.Max)}
}

// forgive takes one failure back and keeps the expiry of the rest.
var forgive = newScript(attempts + `
if count > 1 then
	redis.call('SET', KEYS[1], string.format('%d %.0f', count - 1, last), 'KEEPTTL')
elseif text then
	redis.call('DEL', KEYS[1])
end
return 0`)

// Forgive implements [authcore.LimitStore].
func (s *Store) Forgive(ctx context.Context, class authcore.LimitClass, key string, b authcore.Backoff) error {
	_, err := s.wait(ctx, "take an attempt back", forgive, s.limitKey("failures", class, key), backoffArgs(b)...)
	return err
}

// Clear implements [authcore.LimitStore].
func (s *Store) Clear(ctx context.Context, class authcore.LimitClass, key string) error {
	return s.call(ctx, "forget attempts", func(ctx context.Context) error {
		cmd := redis.NewIntCmd(ctx, "del", s.limitKey("failures", class, key))
		_ = s.client.Process(ctx, once{cmd}) // cmd has the error
		return cmd.Err()
	})
}

// wait runs a script and returns how long the caller should wait.
func (s *Store) wait(ctx context.Context, what string, sc script, key string, args ...any) (time.Duration, error) {
	var wait time.Duration
	err := s.call(ctx, what, func(ctx context.Context) error {
		micros, err := s.run(ctx, sc, key, append([]any{s.clock()}, args...)...).Int64()
		wait = time.Duration(micros) * time.Microsecond
		return err
	})
	return wait, err
}

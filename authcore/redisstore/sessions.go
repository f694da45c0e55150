package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
)

// A session is stored as text: when it was last seen, its absolute end and its idle limit, in milliseconds, each followed
// by a space, then the rest as JSON. The scripts change the first number, or the generation and what goes with it, and leave
// everything else, including what a newer version adds to the JSON. No other key of the JSON, at any depth, may be called
// "gen", "rotations" or "by".
type storedSession struct {
	Account     authcore.AccountID  `json:"account"`
	ID          authcore.SessionID  `json:"id"`
	CreatedAt   int64               `json:"created"`
	Generation  int64               `json:"gen"`
	Rotations   authcore.Rotations  `json:"rotations,omitempty"` // these two are absent in what an earlier version wrote
	RefreshedBy authcore.ClientMark `json:"by,omitempty"`
	Epoch       int64               `json:"epoch,omitempty"`
	Dialect     string              `json:"dialect,omitempty"`
	Addr        string              `json:"addr,omitempty"`
	UserAgent   string              `json:"agent,omitempty"`
}

// keepFor is how long a session is kept after its end. The scripts have it as hour.
const keepFor = time.Hour

func encodeSession(n authcore.Session) (string, error) {
	if !utf8.ValidString(string(n.Account)) || !utf8.ValidString(string(n.ID)) {
		return "", errNotText
	}
	stored := storedSession{
		Account: n.Account, ID: n.ID, CreatedAt: n.CreatedAt.UnixMilli(), Generation: n.Generation, Epoch: n.Epoch,
		Dialect: n.Dialect, UserAgent: n.UserAgent, Rotations: n.Rotations, RefreshedBy: n.RefreshedBy,
	}
	if n.Addr.IsValid() {
		stored.Addr = n.Addr.String()
	}
	rest, err := json.Marshal(stored)
	if err != nil {
		return "", err
	}
	idle := (n.IdleLimit + time.Millisecond - 1).Milliseconds() // rounded up: 0 would mean never
	return fmt.Sprintf("%d %d %d %s", n.LastSeenAt.UnixMilli(), n.ExpiresAt.UnixMilli(), idle, rest), nil
}

func decodeSession(text string, account authcore.AccountID, id authcore.SessionID) (authcore.Session, error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return authcore.Session{}, errors.New("a stored session is damaged")
	}
	var numbers [3]int64
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.ParseInt(parts[i], 10, 64); err != nil {
			return authcore.Session{}, errors.New("a stored session is damaged")
		}
	}
	var stored storedSession
	if err := json.Unmarshal([]byte(parts[3]), &stored); err != nil {
		return authcore.Session{}, errors.New("a stored session is damaged")
	}
	if stored.Account != account || stored.ID != id {
		return authcore.Session{}, errors.New("a stored session names another account or ID than its key")
	}
	n := authcore.Session{
		ID: stored.ID, Account: stored.Account, CreatedAt: fromMillis(stored.CreatedAt), LastSeenAt: fromMillis(numbers[0]),
		ExpiresAt: fromMillis(numbers[1]), IdleLimit: time.Duration(numbers[2]) * time.Millisecond,
		Generation: stored.Generation, Epoch: stored.Epoch, Dialect: stored.Dialect, UserAgent: stored.UserAgent,
		Rotations: stored.Rotations, RefreshedBy: stored.RefreshedBy,
	}
	if stored.Addr != "" {
		var err error
		if n.Addr, err = netip.ParseAddr(stored.Addr); err != nil {
			return authcore.Session{}, errors.New("a stored session has a malformed address")
		}
	}
	return n, nil
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func (s *Store) sessionsKey(account authcore.AccountID) string {
	return accountKey(s.o.Prefix, account, "sessions")
}

// lifetime is shared by two scripts. left returns how long to keep a session, from now by the caller's clock; prolong
// makes the key live at least as long. Times are relative, so the clocks of nodes and server need not agree.
const lifetime = `
local hour = 3600000
local function parse(text)
	local seen, expires, idle, rest = string.match(text, '^(%-?%d+) (%-?%d+) (%d+) (.*)$')
	return tonumber(seen), tonumber(expires), tonumber(idle), rest
end
local function left(now, seen, expires, idle)
	if idle > 0 and seen + idle < expires then
		expires = seen + idle
	end
	return expires + hour - now
end
local function prolong(key, ttl)
	ttl = math.max(ttl, hour)
	if redis.call('PTTL', key) < ttl then
		redis.call('PEXPIRE', key, string.format('%.0f', ttl))
	end
end
`

// create also looks at a few random sessions and deletes those that ended long ago, which bounds their number.
var create = newScript(lifetime + `
local id, text, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HSETNX', KEYS[1], id, text) == 0 then
	return 0
end
local seen, expires, idle = parse(text)
prolong(KEYS[1], left(now, seen, expires, idle))
local some = redis.call('HRANDFIELD', KEYS[1], 8, 'WITHVALUES')
for i = 1, #some, 2 do
	local seen, expires, idle = parse(some[i + 1])
	if seen and some[i] ~= id and left(now, seen, expires, idle) < 0 then
		redis.call('HDEL', KEYS[1], some[i])
	end
end
return 1`)

// CreateSession implements [authcore.SessionStore].
func (s *Store) CreateSession(ctx context.Context, n authcore.Session) error {
	return s.call(ctx, "create session", func(ctx context.Context) error {
		text, err := encodeSession(n)
		if err != nil {
			return err
		}
		created, err := s.run(ctx, create, s.sessionsKey(n.Account), string(n.ID), text, time.Now().UnixMilli()).Bool()
		if err == nil && !created {
			err = errors.New("there is a session with this ID already")
		}
		return err
	})
}

// Session implements [authcore.SessionStore].
func (s *Store) Session(ctx context.Context, account authcore.AccountID, id authcore.SessionID) (authcore.Session, error) {
	var n authcore.Session
	err := s.call(ctx, "read session", func(ctx context.Context) error {
		text, err := s.client.HGet(ctx, s.sessionsKey(account), string(id)).Result()
		if errors.Is(err, redis.Nil) {
			return authcore.Errorf(authcore.KindSessionOver, "the session is over")
		}
		if err == nil {
			n, err = decodeSession(text, account, id)
		}
		return err
	})
	return n, err
}

// Sessions implements [authcore.SessionStore].
func (s *Store) Sessions(ctx context.Context, account authcore.AccountID) ([]authcore.Session, error) {
	var all []authcore.Session
	err := s.call(ctx, "list sessions", func(ctx context.Context) error {
		texts, err := s.client.HGetAll(ctx, s.sessionsKey(account)).Result()
		if err != nil {
			return err
		}
		for id, text := range texts {
			n, err := decodeSession(text, account, authcore.SessionID(id))
			if err != nil {
				return err
			}
			all = append(all, n)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b authcore.Session) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

var touch = newScript(lifetime + `
local id, at, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local text = redis.call('HGET', KEYS[1], id)
if not text then
	return 0
end
local seen, expires, idle = parse(text)
if not seen then
	return redis.error_reply('ERR a stored session is damaged')
end
if seen < tonumber(at) then
	redis.call('HSET', KEYS[1], id, at .. string.sub(text, string.find(text, ' ', 1, true), -1))
	prolong(KEYS[1], left(now, tonumber(at), expires, idle))
end
return 1`)

// touchesAtOnce is how many touches are sent before their answers are read.
const touchesAtOnce = 500

// TouchSessions implements [authcore.SessionStore]. If it fails, some sessions may have been touched; calling it again
// is safe.
func (s *Store) TouchSessions(ctx context.Context, touches []authcore.Touch) error {
	for batch := range slices.Chunk(touches, touchesAtOnce) {
		err := s.call(ctx, "touch sessions", func(ctx context.Context) error { return s.touch(ctx, batch) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) touch(ctx context.Context, batch []authcore.Touch) error {
	now := time.Now().UnixMilli()
	send := func(name, script string, batch []authcore.Touch) (unknown []authcore.Touch, err error) {
		pipe := s.client.Pipeline()
		cmds := make([]*redis.Cmd, len(batch))
		for i, t := range batch {
			args := []any{string(t.Session), t.At.UnixMilli(), now}
			cmds[i] = touch.command(ctx, name, script, s.sessionsKey(t.Account), args)
			_ = pipe.Process(ctx, cmds[i]) // it is only queued
		}
		_, _ = pipe.Exec(ctx) // the commands have their errors
		for i, cmd := range cmds {
			switch {
			case redis.HasErrorPrefix(cmd.Err(), noScript):
				unknown = append(unknown, batch[i])
			case err == nil:
				err = cmd.Err()
			}
		}
		return unknown, err
	}
	unknown, err := send("evalsha", touch.hash, batch)
	if err == nil && len(unknown) > 0 {
		_, err = send("eval", touch.source, unknown)
	}
	return err
}

// rotate replaces the generation inside the JSON, and what goes with it: take removes a field that follows another, and
// returns its value. Nothing else there matches: quotes inside a string are escaped.
var rotate = newScript(`
local id, asked, at, by, size = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local text = redis.call('HGET', KEYS[1], id)
if not text then
	return false
end
local generation = tonumber(string.match(text, '"gen":(%-?%d+)'))
if not generation then
	return redis.error_reply('ERR a stored session is damaged')
end
if generation > asked + 1 then
	return text
end
local function take(key)
	local from, to, value = string.find(text, ',"' .. key .. '":"([%w,_-]*)"')
	if from then
		text = string.sub(text, 1, from - 1) .. string.sub(text, to + 1)
	end
	return value
end
take('by')
local rotations = take('rotations')
if generation < asked or generation == asked and not rotations then
	rotations = at
elseif generation == asked then
	rotations = string.sub(at .. ',' .. rotations, 1, size)
end
local from, to = string.find(text, '"gen":%-?%d+')
local fields = '"gen":' .. string.format('%.0f', asked + 1)
if rotations then
	fields = fields .. ',"rotations":"' .. rotations .. '"'
end
text = string.sub(text, 1, from - 1) .. fields .. ',"by":"' .. by .. '"' .. string.sub(text, to + 1)
redis.call('HSET', KEYS[1], id, text)
return text`)

// RotateSession implements [authcore.SessionStore].
func (s *Store) RotateSession(ctx context.Context, account authcore.AccountID, id authcore.SessionID, generation int64, r authcore.Rotation) (
	authcore.Session, error,
) {
	var n authcore.Session
	err := s.call(ctx, "rotate session", func(ctx context.Context) error {
		text, err := s.run(ctx, rotate, s.sessionsKey(account), string(id), generation, string(authcore.Rotations("").Add(r.At)),
			string(r.By), authcore.MaxRotationsSize).Text()
		if errors.Is(err, redis.Nil) {
			return authcore.Errorf(authcore.KindSessionOver, "the session is over")
		}
		if err == nil {
			n, err = decodeSession(text, account, id)
		}
		return err
	})
	return n, err
}

// EndSession implements [authcore.SessionStore].
func (s *Store) EndSession(ctx context.Context, account authcore.AccountID, id authcore.SessionID) (bool, error) {
	var ended bool
	err := s.call(ctx, "end session", func(ctx context.Context) error {
		cmd := redis.NewIntCmd(ctx, "hdel", s.sessionsKey(account), string(id))
		_ = s.client.Process(ctx, once{cmd}) // cmd has the error
		ended = cmd.Val() == 1
		return cmd.Err()
	})
	return ended, err
}

// endAll only deletes, so it works while Redis is out of memory.
var endAll = newScript(`
local except, epoch, ended = ARGV[1], tonumber(ARGV[2]), {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
	local id, begun = all[i], 0
	local ok, rest = pcall(cjson.decode, string.match(all[i + 1], '{.*$') or '')
	if ok and type(rest) == 'table' then
		begun = tonumber(rest.epoch) or 0
	end
	if begun < epoch and (except == '' or id ~= except) then
		redis.call('HDEL', KEYS[1], id)
		ended[#ended + 1] = id
	end
end
return ended`)

// EndSessions implements [authcore.SessionStore].
func (s *Store) EndSessions(ctx context.Context, account authcore.AccountID, epoch int64, except authcore.SessionID) (
	[]authcore.SessionID, error,
) {
	var ended []authcore.SessionID
	err := s.call(ctx, "end sessions", func(ctx context.Context) error {
		ids, err := s.run(ctx, endAll, s.sessionsKey(account), string(except), epoch).StringSlice()
		for _, id := range ids {
			ended = append(ended, authcore.SessionID(id))
		}
		return err
	})
	return ended, err
}

// DeleteExpired implements [authcore.SessionStore]. It does nothing, since the keys expire.
func (s *Store) DeleteExpired(ctx context.Context, _ time.Time) (int, error) { return 0, ctx.Err() }

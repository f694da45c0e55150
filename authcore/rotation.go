package authcore

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// supersededGrace is how long a token is good for a refresh after it ceased to be the predecessor of the current one:
// several tabs that wake at once refresh with what each of them has, in any order.
const supersededGrace = time.Minute

// Rotation is what a store notes of a refresh.
type Rotation struct {
	At time.Time
	By ClientMark
}

// ClientMark tells one client of a session from another by its address prefix and by what it calls itself, as a keyed
// hash: 22 characters of base64url.
type ClientMark string

// Rotations are the times at which the newest generations of a session were made, the newest first, at most
// [MaxRotations]: Unix milliseconds of 13 digits each, with commas between. It is text, so that a store can prepend to it
// where the generation is moved. Where a store has skipped one, as a node of an earlier version does, generations seem to
// be older than they are, and are refused sooner.
type Rotations string

const (
	// MaxRotations is how many times are kept. Further generations are not good for a refresh.
	MaxRotations = 8
	// MaxRotationsSize is the length of their text.
	MaxRotationsSize = MaxRotations*(rotationSize+1) - 1

	rotationSize = 13
)

// Add returns r with a newer time before it.
func (r Rotations) Add(at time.Time) Rotations {
	next := fmt.Sprintf("%0*d", rotationSize, at.UnixMilli())
	if r != "" {
		next += "," + string(r)
	}
	return Rotations(next[:min(len(next), MaxRotationsSize)])
}

// made returns when the generation was made that is older by n than the current one, if that is known.
func (r Rotations) made(n int64) (time.Time, bool) {
	if n < 0 || n >= MaxRotations {
		return time.Time{}, false
	}
	times := strings.Split(string(r), ",")
	if n >= int64(len(times)) {
		return time.Time{}, false
	}
	at, err := strconv.ParseInt(times[n], 10, 64)
	return time.UnixMilli(at), err == nil
}

// gracious reports whether a generation that is older than the predecessor of the current one is still good for a
// refresh: it was the predecessor until a moment ago.
func (s *Session) gracious(generation int64, now time.Time) bool {
	at, known := s.Rotations.made(s.Generation - generation - 2)
	return known && now.Sub(at) < supersededGrace
}

// lastClient returns the mark of the client that refreshed a session last, or else logged in.
func (st *State) lastClient(s *Session) ClientMark {
	if s.RefreshedBy != "" {
		return s.RefreshedBy
	}
	return st.clientMark(s.ID, Client{Addr: s.Addr, UserAgent: s.UserAgent})
}

// clientMark returns the mark of a client of a session. That of one session says nothing about another.
func (st *State) clientMark(id SessionID, c Client) ClientMark {
	sum := hashFields(st.codeKey, "client", string(id), AddrKey(c.Addr), cutUTF8(c.UserAgent, 256))
	return ClientMark(base64.RawURLEncoding.EncodeToString(sum)[:22])
}

package redisstore

import (
	"encoding/hex"
	"strings"

	"github.com/chatgate/chatgate/authcore"
)

// accountKey names a key of an account. The braces put all keys of one account into one slot of a cluster. An ID that is
// no UUID, because somebody made it up, is spelt in hexadecimal with a mark that no plain one can have, so that it
// can name no other account's key and break out of no brace.
func accountKey(prefix string, account authcore.AccountID, suffix string) string {
	return prefix + ":{" + keyPart(string(account)) + "}:" + suffix
}

// keyPart makes one part of a key of anything.
func keyPart(s string) string {
	plain := func(r rune) bool {
		return r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 && s != feedTag {
		return s
	}
	return "~" + hex.EncodeToString([]byte(s))
}

// feedTag is where an account would be in the keys of the feed.
const feedTag = "feed"

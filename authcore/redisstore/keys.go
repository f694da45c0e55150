package redisstore

import (
	"encoding/hex"
	"strings"

	"github.com/chatgate/chatgate/authcore"
)

// accountKey names a key of an account. The braces put all keys of an account into one slot of a cluster. An ID with
// other characters than a UUID's was forged; keyPart encodes it, so that it cannot name another account's key or close
// the braces.
func accountKey(prefix string, account authcore.AccountID, suffix string) string {
	return prefix + ":{" + keyPart(string(account)) + "}:" + suffix
}

// keyPart makes a part of a key from any text: letters, digits and hyphens stay, anything else becomes "~" and hexadecimal.
func keyPart(s string) string {
	plain := func(r rune) bool {
		return r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 && s != feedTag {
		return s
	}
	return "~" + hex.EncodeToString([]byte(s))
}

// feedTag takes the place of the account in the keys of the feed.
const feedTag = "feed"

package authcore

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A display name is free, but for two things: it must not speak for the service, and where it looks like the username of
// somebody else, whoever is told of its owner is told the owner's username instead. Stores decide the latter whenever
// either of the two names is written, since it is asked for with every request.

// DisplaySkeleton returns what a display name has in common with the usernames that it looks like: equal to their
// [Username.Skeleton]. It is empty if no username looks like it.
func DisplaySkeleton(name string) string {
	kept := strings.Map(func(r rune) rune {
		if isWord(r) || strings.ContainsRune("._-", r) {
			return r
		}
		return -1
	}, foldName(name))
	return skeleton(strings.Trim(kept, "._-"))
}

// DisplayReserved reports whether a display name is made of reserved words, whatever stands around and between them: it
// would speak for the service.
func DisplayReserved(name string) bool {
	words := strings.FieldsFunc(foldName(name), func(r rune) bool { return !isWord(r) })
	if len(words) == 0 {
		return false
	}
	all := true
	for _, w := range words {
		all = all && reservedNames[skeleton(w)]
	}
	return all || reservedNames[skeleton(strings.Join(words, ""))]
}

func foldName(name string) string { return strings.ToLower(norm.NFKC.String(name)) }

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) }

// toldName returns the display name that others are told, or nothing where that is the username.
func (a *Account) toldName() string {
	if a.DisplayClash {
		return ""
	}
	return a.DisplayName
}

package authcore

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestKinds(t *testing.T) {
	names := make(map[string]Kind)
	for _, k := range Kinds() {
		n := k.String()
		if other, ok := names[n]; ok || n == "" || strings.HasPrefix(n, "kind(") {
			t.Errorf("kind %d is called %q, as is %d", k, n, other)
		}
		names[n] = k
	}
	want(t, "how many", len(Kinds()), int(numKinds))
	want(t, "beyond the last", numKinds.String(), fmt.Sprintf("kind(%d)", int(numKinds)))
}

// A kind without a class would be answered with nothing.
func TestEveryKindHasAClass(t *testing.T) {
	used := make(map[Class]bool)
	for _, k := range Kinds() {
		if !slices.Contains(Classes(), k.Class()) {
			t.Errorf("%v has no class", k)
		}
		used[k.Class()] = true
	}
	for _, c := range Classes() {
		if !used[c] {
			t.Errorf("no kind is of class %d", c)
		}
	}
	want(t, "beyond the last", numKinds.Class(), ClassInternal)
}

func TestAnswers(t *testing.T) {
	full := Answers[string]{
		ClassInternal: "internal", ClassInvalid: "invalid", ClassToken: "token",
		KindWeakPassword: "weak", KindNotFound: "",
	}
	for _, tc := range []struct {
		name    string
		answers Answers[string]
		kind    Kind
		want    string
		ok      bool
	}{
		{"by class", full, KindInvalidInput, "invalid", true},
		{"by kind, before its class", full, KindWeakPassword, "weak", true},
		{"by kind, without its class", full, KindNotFound, "", true},
		{"neither", full, KindRateLimited, "", false},
		{"no such kind", full, numKinds, "internal", true},
		{"no table", nil, KindInvalidInput, "", false},
		{"an empty table", Answers[string]{}, KindInvalidInput, "", false},
	} {
		got, ok := tc.answers.Find(tc.kind)
		want(t, tc.name, got, tc.want)
		want(t, tc.name+": found", ok, tc.ok)
	}
}

func TestErrors(t *testing.T) {
	plain := errors.New("driver: connection to 10.0.0.7 refused")
	for name, err := range map[string]*Error{
		"unknown error": AsError(plain), "store": AsError(unavailable("reading", plain)), "wrapped store": AsError(unavailable("reading", fmt.Errorf("x: %w", plain))),
		"token": badToken(plain),
	} {
		if strings.Contains(err.Msg, "10.0.0.7") || err.Msg == "" {
			t.Errorf("%s: may be shown: %q", name, err.Msg)
		}
		if !strings.Contains(err.Error(), "10.0.0.7") || !errors.Is(err, plain) {
			t.Errorf("%s: the log does not learn the reason: %q", name, err.Error())
		}
	}
	own := Errorf(KindNotFound, "no %s", "room")
	want(t, "message", own.Msg, "no room")
	want(t, "text", own.Error(), "not_found: no room")
	want(t, "an error of ours stays", AsError(unavailable("x", fmt.Errorf("y: %w", own))), own)
	want(t, "an error of ours is found", AsError(fmt.Errorf("y: %w", own)), own)
	want(t, "kind of a wrapped error", KindOf(fmt.Errorf("y: %w", own)), KindNotFound)
	want(t, "kind of another error", KindOf(io.EOF), KindInternal)
	want(t, "kind of a store's failure", KindOf(unavailable("x", io.EOF)), KindUnavailable)
	want(t, "when to come back", AsError(unavailable("x", io.EOF)).RetryAfter > 0, true)
}

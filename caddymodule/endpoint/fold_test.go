package endpoint

import (
	"strings"
	"testing"
	"time"
)

// The quick look and the thorough one agree.
func FuzzFoldPath(f *testing.F) {
	for _, s := range []string{
		"/", "", "/api/v1/login", "//a", "/a/", "/a.", "/a/.b", "/a..b", "/A", "/a%2fb", "/..;/a", "/a%00", "ａ", "/%25%32%65",
		"/a/..", "/..", "..", "/a/../b", "/a/b/../..", "/...", "/a/.../b", "/.", "/a b", "/a?b", "/~!$&'()*+,=:@[]|^`{}\"<>", "/a\x7f", "/%2%35",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		folded := foldAny(path)
		if plain, ok := foldPlain(nil, path); ok && string(plain) != folded {
			t.Fatalf("%q folds to %q, and quickly to %q", path, folded, plain)
		}
		if !strings.HasPrefix(folded, "/") || strings.Contains(folded, "//") || strings.ContainsAny(folded, "\\;?#\x00 ") {
			t.Fatalf("%q folds to %q", path, folded)
		}
		if odd := strings.ToUpper("/" + folded + "/"); strings.Count(folded, "%") == 0 && foldPath(odd) != foldPath(folded) {
			t.Fatalf("%q folds to %q, %q to %q", odd, foldPath(odd), folded, foldPath(folded))
		}
	})
}

// The longest path that a server takes is decoded in one go, however often its escapes are escaped.
func TestDeepEscapes(t *testing.T) {
	const most = 20 * time.Second // a pass for each of half a million escapes takes minutes
	start := time.Now()
	if got := foldPath("/%" + strings.Repeat("25", 500_000) + "78"); got != "/x" {
		t.Errorf("folds to %.20q", got)
	}
	if d := time.Since(start); d > most {
		t.Errorf("it took %v", d)
	}
}

// Most paths are looked up without a copy.
func TestMeantAllocates(t *testing.T) {
	s := roomsPaths()
	for path, want := range map[string]string{
		"/": "", "/api/v1/rooms/Lobby/messages": "", "/Chat/": "", "/a.b//c": "", "/API/v1/Login": "/api/v1/login", "/api/v1/x/../login/": "/api/v1/login",
	} {
		if got := s.Match(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if n := testing.AllocsPerRun(100, func() { s.Match(path) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func roomsPaths() *Spellings {
	s := new(Spellings)
	for _, path := range []string{"/users", "/login", "/logout", "/logout_all"} {
		s.Add("/api/v1" + path)
	}
	return s
}

func BenchmarkMeant(b *testing.B) {
	s := roomsPaths()
	for name, path := range map[string]string{
		"plain": "/api/v1/rooms/lobby/messages", "capital": "/api/v1/rooms/Lobby/messages", "slash": "/rooms/", "root": "/", "escape": "/rooms/100%", "unicode": "/rooms/café",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Match(path)
			}
		})
	}
}

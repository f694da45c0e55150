package authcore

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func testHasher(t testing.TB, o HasherOptions) *hasher {
	t.Helper()
	if o.Cost == (Argon2{}) {
		o.Cost = cheap
	}
	if o.Parallel == 0 {
		o.Parallel = 2
	}
	if o.Wait == 0 {
		o.Wait = time.Minute
	}
	return must[*hasher](t)(newHasher(o))
}

func TestHash(t *testing.T) {
	h := testHasher(t, HasherOptions{Queue: 10})
	nfc, nfd := NewPassword("Füße-über-Ähren"), NewPassword("Fu\u0308ße-u\u0308ber-A\u0308hren")
	stored := must[PasswordHash](t)(h.hash(t.Context(), caller{}, nfc))
	if s := string(stored); !strings.HasPrefix(s, "$argon2id$v=19$m=64,t=1,p=1$") || len(s) < 80 {
		t.Errorf("not in PHC string format: %s", s)
	}
	if again := must[PasswordHash](t)(h.hash(t.Context(), caller{}, nfc)); again == stored {
		t.Error("two hashes of one password are the same: no salt")
	}
	check := func(what string, p Password, stored PasswordHash, ok bool) {
		t.Helper()
		got, rehash, err := h.verify(t.Context(), caller{}, p, stored)
		if got != ok || rehash || err != nil {
			t.Errorf("%s: got %v, rehash %v, %v; want %v", what, got, rehash, err, ok)
		}
	}
	check("the password", nfc, stored, true)
	check("decomposed", nfd, stored, true)
	check("another", NewPassword("Füße-über-Ähre"), stored, false)
	check("with a space", NewPassword("Füße-über-Ähren "), stored, false)
	check("in another case", NewPassword("füße-über-Ähren"), stored, false)
	check("empty", NewPassword(""), stored, false)
	check("none", Password{}, stored, false)
	check("with NUL", NewPassword("Füße-über-Ähren\x00"), stored, false)
	check("against nothing", nfc, "", false)
	check("nothing against nothing", NewPassword(""), "", false)
	check("NUL against nothing", NewPassword("\x00"), "", false)
	h.decoy = must[verifier](t)(parseHash(stored)) // even if somebody knew what it is the hash of
	check("what the decoy is made of", nfc, "", false)
	if _, err := h.hash(t.Context(), caller{}, NewPassword("a\x00")); KindOf(err) != KindWeakPassword {
		t.Errorf("hashing what is no password: %v", err)
	}
}

// PWD-05: byte 73 matters, and so does the last of 1,024.
func TestPWD05NeverTruncated(t *testing.T) {
	h := testHasher(t, HasherOptions{Queue: 10})
	for _, n := range []int{72, 73, 255} {
		p := strings.Repeat("ab", 128)[:n]
		stored := must[PasswordHash](t)(h.hash(t.Context(), caller{}, NewPassword(p+"x")))
		for claimed, ok := range map[string]bool{p + "x": true, p + "y": false, p: false, p + "xx": false} {
			if got, _, err := h.verify(t.Context(), caller{}, NewPassword(claimed), stored); got != ok || err != nil {
				t.Errorf("%d characters, then %q: got %v, %v", n, claimed[n:], got, err)
			}
		}
	}
	p := strings.Repeat("😀😁", 128)
	stored := must[PasswordHash](t)(h.hash(t.Context(), caller{}, NewPassword(p)))
	if got, _, _ := h.verify(t.Context(), caller{}, NewPassword(p[:1020]+"😀"), stored); got {
		t.Error("the last of 256 characters does not matter")
	}
}

func TestHashUpgrade(t *testing.T) {
	p := NewPassword("correct horse")
	h := testHasher(t, HasherOptions{Cost: Argon2{Memory: 128, Time: 2, Threads: 1}})
	imported := func(cost int) PasswordHash {
		return PasswordHash(must[[]byte](t)(bcrypt.GenerateFromPassword([]byte("correct horse"), cost)))
	}
	b := imported(bcrypt.MinCost)
	for name, c := range map[string]struct {
		stored PasswordHash
		rehash bool
	}{
		"the same":     {h.cost.hash([]byte("correct horse")), false},
		"stronger":     {Argon2{Memory: 256, Time: 3, Threads: 1}.hash([]byte("correct horse")), false},
		"less memory":  {Argon2{Memory: 64, Time: 2, Threads: 1}.hash([]byte("correct horse")), true},
		"fewer passes": {Argon2{Memory: 128, Time: 1, Threads: 1}.hash([]byte("correct horse")), true},
		"bcrypt":       {b, true},
		"bcrypt $2b$":  {"$2b" + b[3:], true},
		"bcrypt $2y$":  {"$2y" + b[3:], true},
	} {
		ok, rehash, err := h.verify(t.Context(), caller{}, p, c.stored)
		if !ok || rehash != c.rehash || err != nil {
			t.Errorf("%s: right %v, rehash %v, %v", name, ok, rehash, err)
		}
		ok, rehash, err = h.verify(t.Context(), caller{}, NewPassword("wrong horse"), c.stored)
		if ok || rehash || err != nil {
			t.Errorf("%s, wrong password: right %v, rehash %v, %v", name, ok, rehash, err)
		}
	}
}

// PWD-06: a stored hash that is damaged, or made to cost too much, is refused: it matches nothing, costs what any
// other costs, and neither panics nor allocates what it asks for.
func TestPWD06HostileHashes(t *testing.T) {
	h := testHasher(t, HasherOptions{})
	good := string(h.cost.hash([]byte("x")))
	tail := good[strings.LastIndex(good[:strings.LastIndex(good, "$")], "$"):] // $salt$key
	saltless := good[strings.LastIndex(good, "$"):]
	hash := func(cost string) string { return "$argon2id$v=19$" + cost + tail }
	cases := map[string]string{
		"empty": "", "garbage": "garbage", "dollars": "$$$$$", "many dollars": strings.Repeat("$", 1<<16), "plain text": "x",
		"m 4 GiB": hash("m=4194304,t=1,p=1"), "m 2^32": hash("m=4294967296,t=1,p=1"), "m 2^64": hash("m=18446744073709551616,t=1,p=1"),
		"m over the bound": hash("m=262145,t=1,p=1"), "m 0": hash("m=0,t=1,p=1"), "m too small": hash("m=7,t=1,p=1"), "m negative": hash("m=-64,t=1,p=1"),
		"t 0": hash("m=64,t=0,p=1"), "t 17": hash("m=64,t=17,p=1"), "t 2^32": hash("m=64,t=4294967296,p=1"), "p 0": hash("m=64,t=1,p=0"),
		"p 9": hash("m=128,t=1,p=9"), "p 256": hash("m=64,t=1,p=256"), "p 257": hash("m=64,t=1,p=257"),
		"order": hash("t=1,m=64,p=1"), "no cost": hash(""), "spaces": hash("m= 64,t=1,p=1"), "plus": hash("m=+64,t=1,p=1"),
		"more": hash("m=64,t=1,p=1,data=QQ"), "more digits": hash("m=064,t=1,p=1"), "hex": hash("m=0x40,t=1,p=1"),
		"argon2i": "$argon2i$v=19$m=64,t=1,p=1" + tail, "argon2d": "$argon2d$v=19$m=64,t=1,p=1" + tail,
		"old version": "$argon2id$v=16$m=64,t=1,p=1" + tail, "no version": "$argon2id$m=64,t=1,p=1" + tail,
		"no key": good[:strings.LastIndex(good, "$")], "empty key": good[:strings.LastIndex(good, "$")+1], "more fields": good + "$QQ",
		"short key": good[:strings.LastIndex(good, "$")] + "$QUFB", "long key": good[:strings.LastIndex(good, "$")+1] + strings.Repeat("QUFB", 100),
		"no salt": "$argon2id$v=19$m=64,t=1,p=1$" + saltless, "short salt": "$argon2id$v=19$m=64,t=1,p=1$QUFB" + saltless,
		"bad base64": strings.Replace(good, "$m=64,t=1,p=1$", "$m=64,t=1,p=1$!!!!", 1), "padded": good + "=",
		"NUL": good[:20] + "\x00" + good[20:], "bcrypt, no more": "$2y$", "bcrypt, short": "$2a$10$abc", "bcrypt cost 31": "$2a$31$" + strings.Repeat("a", 53),
		"bcrypt cost 15": "$2b$15$" + strings.Repeat("a", 53), "bcrypt cost 99": "$2b$99$" + strings.Repeat("a", 53), "bcrypt cost 3": "$2b$03$" + strings.Repeat("a", 53),
		"bcrypt garbage": "$2b$04$" + strings.Repeat("!", 53), "bcrypt $2x$": "$2x$04$" + strings.Repeat("a", 53), "md5crypt": "$1$abc$def", "scrypt": "$7$abc",
	}
	if _, err := parseHash(PasswordHash(good)); err != nil {
		t.Fatalf("the valid hash that the others differ from: %v", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, stored := range cases {
		if _, err := parseHash(PasswordHash(stored)); err == nil && name != "bcrypt garbage" {
			t.Errorf("%s: parsed", name)
		}
		n := h.hashes.Load()
		ok, rehash, err := h.verify(t.Context(), caller{}, NewPassword("x"), PasswordHash(stored))
		if ok || rehash || err != nil {
			t.Errorf("%s: right %v, rehash %v, %v", name, ok, rehash, err)
		}
		if h.hashes.Load() != n+1 {
			t.Errorf("%s: %d hashes", name, h.hashes.Load()-n)
		}
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / uint64(len(cases)); per > 2<<20 {
		t.Errorf("allocated %d bytes a hash", per)
	}
}

func TestHasherOptions(t *testing.T) {
	good := HasherOptions{Cost: cheap, Parallel: 1, Queue: 0, Wait: time.Second}
	for name, change := range map[string]func(*HasherOptions){
		"no slot": func(o *HasherOptions) { o.Parallel = 0 }, "queue": func(o *HasherOptions) { o.Queue = -1 }, "wait": func(o *HasherOptions) { o.Wait = 0 },
		"no cost": func(o *HasherOptions) { o.Cost = Argon2{} }, "memory": func(o *HasherOptions) { o.Cost.Memory = 1 << 30 }, "time": func(o *HasherOptions) { o.Cost.Time = 0 },
		"threads": func(o *HasherOptions) { o.Cost.Threads = 0 },
	} {
		o := good
		change(&o)
		if _, err := newHasher(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := newHasher(good); err != nil {
		t.Error(err)
	}
	if d := DefaultArgon2; d.Memory < 19*1024 || d.Time < 2 || d.Threads < 1 || d.validate() != nil {
		t.Errorf("the default cost %+v is below the one required", d)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(string(cheap.decoy()))
	f.Add("$2a$04$abcdefghijklmnopqrstuuu6CE9hKBmQ3zbbCGrgGiTgYhmZPOFnq")
	f.Add("$argon2id$v=19$m=64,t=1,p=1$QUFBQUFBQUE$QUFBQUFBQUFBQUFBQUFBQUE")
	f.Fuzz(func(t *testing.T, stored string) {
		v, err := parseHash(PasswordHash(stored))
		if err == nil && v.bcrypt == nil && v.cost.validate() != nil {
			t.Fatalf("%q asks for %+v", stored, v.cost)
		}
	})
}

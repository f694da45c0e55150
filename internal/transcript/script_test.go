package transcript

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/gatetest"
)

// failures is a TB that takes down what a script finds wrong.
type failures struct {
	testing.TB
	said []string
}

func (f *failures) Helper() {}
func (f *failures) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

// A runner that passes everything would be worse than none: each of these differs from a good one in one respect.
func TestReplyFindsEveryDifference(t *testing.T) {
	good := []string{"< HTTP/1.1 200 OK", "< X-A: one", "<", `< {"id":"<uuid>","again":"<uuid>"}`}
	const id, other = "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174001"
	body := `{"id":"` + id + `","again":"` + id + `"}` + "\n"
	every := []string{"X-B: <id>"}
	for name, tc := range map[string]struct {
		lines  []string
		every  []string
		change func(*http.Response)
		body   string
		wrong  int
	}{
		"the good one":         {good, every, nil, body, 0},
		"a status":             {good, every, func(r *http.Response) { r.Status = "201 Created" }, body, 1},
		"a protocol":           {good, every, func(r *http.Response) { r.Proto = "HTTP/1.0" }, body, 1},
		"a missing header":     {good, every, func(r *http.Response) { r.Header.Del("X-A") }, body, 1},
		"another value":        {good, every, func(r *http.Response) { r.Header.Set("X-A", "two") }, body, 2},
		"a header more":        {good, every, func(r *http.Response) { r.Header.Set("X-C", "1") }, body, 1},
		"a header twice":       {good, every, func(r *http.Response) { r.Header.Add("X-A", "one") }, body, 1},
		"none of every reply":  {good, every, func(r *http.Response) { r.Header.Del("X-B") }, body, 1},
		"a close":              {good, every, func(r *http.Response) { r.Close = true }, body, 1},
		"another body":         {good, every, nil, `{"id":"1"}` + "\n", 1},
		"no line break":        {good, every, nil, strings.TrimSuffix(body, "\n"), 1},
		"two that are one":     {good, every, nil, strings.Replace(body, id, other, 1), 1},
		"a body where none is": {good[:2], every, nil, body, 1},
		"none where one is":    {good, every, nil, "", 1},
		"one header less":      {append([]string{good[0], "< !X-B"}, good[1:]...), every, func(r *http.Response) { r.Header.Del("X-B") }, body, 0},
		"which is there":       {append([]string{good[0], "< !X-B"}, good[1:]...), every, nil, body, 1},
		"which none has":       {append([]string{good[0], "< !X-D"}, good[1:]...), every, nil, body, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failures{TB: t}
			s := &Script{t: f, vars: make(map[string]string), every: tc.every}
			resp := &http.Response{Proto: "HTTP/1.1", Status: "200 OK", Header: http.Header{"X-A": {"one"}, "X-B": {"12"}, "Date": {"now"}}}
			if tc.change != nil {
				tc.change(resp)
			}
			s.reply("here", tc.lines, resp, tc.body)
			if len(f.said) != tc.wrong {
				t.Errorf("%d are wrong, want %d: %q", len(f.said), tc.wrong, f.said)
			}
		})
	}
}

func TestNames(t *testing.T) {
	s := &Script{t: t, vars: make(map[string]string)}
	for _, step := range []struct {
		want, got string
		ok        bool
	}{
		{"a <id> b", "a 12 b", true},
		{"a <id> b", "a 12 b", true},
		{"a <id> b", "a 13 b", false},
		{"a <id2> b", "a 13 b", true},
		{"a <id3> b", "a 0 b", false},
		{"<id4> <id4>", "1 2", false},
		{"<id4> <id4>", "3 3", true},
		{"<id4>", "1", false},
		{"<seconds> <seconds>", "1 2", true},
		{"<seconds>", "3", true},
		{"<seconds>", "601", false},
		{"[.*]", "[.*]", true},
		{"[.*]", "[xx]", false},
		{"<text>", `a "b"`, false},
	} {
		if ok := s.match(step.want, step.got); ok != step.ok {
			t.Errorf("%s, %s: %v", step.want, step.got, ok)
		}
	}
	if got := s.expand("<id>-<id2>"); got != "12-13" {
		t.Errorf("it stands for %s", got)
	}
}

func TestRows(t *testing.T) {
	dir := t.TempDir()
	Seed(t, dir, 0, func(ctx context.Context, s *authcore.Service) {
		for _, name := range []string{"alice", "bob"} {
			if _, err := s.Register(ctx, authcore.Registration{ClaimedName: name, Password: authcore.NewPassword("Lantern-Quarry-71")}); err != nil {
				t.Fatal(err)
			}
		}
	})
	const query = "? SELECT username, email_hash, x'00ff', id FROM accounts ORDER BY number"
	good := []string{"| alice | null | 00ff | <uuid>", "| bob | null | 00ff | <uuid2>"}
	for name, tc := range map[string]struct {
		rows  []string
		wrong int
	}{
		"as they are": {good, 0},
		"one less":    {good[:1], 1},
		"one more":    {append(good[:2:2], good[1]), 1},
		"swapped":     {[]string{good[1], good[0]}, 2},
		"none":        {nil, 1},
	} {
		f := &failures{TB: t}
		s := &Script{t: f, g: &gatetest.Gateway{Dir: dir}, vars: make(map[string]string)}
		s.rows("here", query, tc.rows)
		if len(f.said) != tc.wrong {
			t.Errorf("%s: %d are wrong, want %d: %q", name, len(f.said), tc.wrong, f.said)
		}
	}
	if _, err := Rows(filepath.Join(dir, "accounts.db"), "DELETE FROM accounts"); err == nil {
		t.Error("a transcript can change the database")
	}
	if _, err := Rows(filepath.Join(dir, "gone.db"), "SELECT 1"); err == nil {
		t.Error("a database that is not there was read")
	}
	if _, err := os.Stat(filepath.Join(dir, "gone.db")); err == nil {
		t.Error("a database was made")
	}
}

func TestMailCode(t *testing.T) {
	head := "From: chat@example.com\r\nTo: alice@example.com\r\n"
	for name, tc := range map[string]struct{ message, want string }{
		"plain":     {head + "Content-Type: text/plain; charset=utf-8\r\n\r\nAt 2026-11-21, code\r\n\r\n    012345\r\n", "012345"},
		"quoted":    {head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=20   01=\r\n2345\r\n", "012345"},
		"base64":    {head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nMDEyMzQ1Cg==\r\n", "012345"},
		"parts":     {head + "Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>999999</p>\r\n--x\r\nContent-Type: text/plain\r\n\r\n012345\r\n--x--\r\n", "012345"},
		"no code":   {head + "Content-Type: text/plain\r\n\r\nYour password was changed, 1234567 times.\r\n", ""},
		"to others": {strings.Replace(head, "alice", "bob", 1) + "Content-Type: text/plain\r\n\r\n012345\r\n", ""},
	} {
		file := filepath.Join(t.TempDir(), "1.eml")
		if err := os.WriteFile(file, []byte(tc.message), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := MailCode(t, file, "alice@example.com"); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	dir := t.TempDir()
	for i, code := range []string{"000001", "000002"} {
		m := head + "Content-Type: text/plain\r\n\r\n" + code + "\r\n"
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.eml", i)), []byte(m), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := mailbox(dir)
	if a, b := next(t, "alice@example.com"), next(t, "alice@example.com"); a != "000001" || b != "000002" {
		t.Errorf("one after the other: %s, %s", a, b)
	}
}

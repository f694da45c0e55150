package line

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/transcript"
)

func transcripts(t *testing.T) (files []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

func TestTranscripts(t *testing.T) {
	t.Parallel()
	for _, file := range transcripts(t) {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			t.Parallel()
			lines := transcript.Read(t, file)
			o := options{app: transcript.Options(lines, "+", "\t\t"), line: transcript.Options(lines, "*", "\t\t\t\t\t"), dir: t.TempDir()}
			seed(t, o.dir)
			stores, env := faulty(t, o.app)
			o.env = env
			h := start(t, o)
			s := transcript.New(t, h.Gateway, h.rooms)
			s.Listeners = h.listeners
			s.Sources["sms"] = h.sms.next
			s.Sources["mail"] = h.mailCode()
			s.Sources["texts"] = func(_ testing.TB, to string) string { return strconv.Itoa(h.textsTo(to)) }
			s.Sources["expires"] = expires
			s.Sources["stores"] = func(t testing.TB, what string) string {
				done := stores(t, what)
				if what == "healed" {
					eventually(t, "the gateway to notice", func() bool {
						status, _, _ := h.Call(http.MethodPost, "/api/v1/login", "", `{"username":"nobody","secret":"none"}`)
						return status != http.StatusServiceUnavailable
					})
				}
				return done
			}
			s.Run(t, name, lines)
		})
	}
}

// seed makes an account that an operator closed.
func seed(t *testing.T, dir string) {
	t.Helper()
	transcript.Seed(t, dir, 0, func(ctx context.Context, s *authcore.Service) {
		a, err := s.Register(ctx, authcore.Registration{ClaimedName: "mallory", Password: authcore.NewPassword(password)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Disable(ctx, authcore.Actor{}, a.ID); err != nil {
			t.Fatal(err)
		}
	})
}

var mailedCode = regexp.MustCompile(`(?m)^ +([0-9]{6})$`)

// mailCode returns a source of the codes that were mailed to an address, each once, the oldest first.
func (h *house) mailCode() func(testing.TB, string) string {
	read := make(map[int]bool)
	return func(t testing.TB, to string) (code string) {
		t.Helper()
		eventually(t, "a message to "+to, func() bool {
			for i, m := range h.mail.Messages() {
				if c := mailedCode.FindStringSubmatch(m.Text(t)); len(m.To) == 1 && m.To[0] == to && c != nil && !read[i] {
					read[i], code = true, c[1]
					return true
				}
			}
			return false
		})
		return code
	}
}

// textsTo counts the messages to a number.
func (h *house) textsTo(to string) (n int) {
	for _, m := range h.sms.sent() {
		if m.To == to {
			n++
		}
	}
	return n
}

// expires is a source of "then" where a token ends when a client was told.
func expires(t testing.TB, argument string) string {
	t.Helper()
	token, told, _ := strings.Cut(argument, " ")
	if exp := time.Unix(claims(t, token).Exp, 0).UTC().Format("2006-01-02T15:04:05Z"); exp != told {
		return exp
	}
	return "then"
}

type tokenClaims struct {
	Iss, Aud, Sub, Sid, Jti, Name, Typ string
	Exp, Iat                           int64
}

// claims returns what a token says.
func claims(t testing.TB, token string) (c tokenClaims) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token+"..", ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil {
		t.Fatalf("no token: %v", err)
	}
	return c
}

// played is a request of a transcript and its answer, each as it is written there.
type played struct{ request, answer string }

func exchanges(t *testing.T) (all []played) {
	t.Helper()
	for _, file := range transcripts(t) {
		request := ""
		for _, l := range transcript.Read(t, file) {
			switch {
			case strings.HasPrefix(l, "→"):
				request = strings.TrimLeft(l, "→ \"")
			case strings.HasPrefix(l, "← "):
				all = append(all, played{request, strings.TrimPrefix(l, "← ")})
				request = ""
			}
		}
	}
	return all
}

// documented are the answers that line.txt names. What comes behind a syntax error differs.
var documented = []played{
	{"login", "ok <token>"},
	{"login", "nop syntax:"},
	{"login", "nop unavailable"},
	{"login", "nop credentials"},
	{"login", "nop unverifiednumber"},
	{"login", "nop unverifiedemail"},
	{"register", "ok"},
	{"register", "nop syntax:"},
	{"register", "nop unavailable"},
	{"register", "nop invalidusername"},
	{"register", "nop usernametaken"},
	{"register", "nop baddata"},
	{"validatephone", "ok"},
	{"validatephone", "nop syntax:"},
	{"validatephone", "nop unavailable"},
	{"validatephone", "nop badcode"},
	{"validatephone", "nop invalidnumber"},
}

// Every documented answer is reached by a transcript, and every reason that there is a constant for, whatever becomes of
// either.
func TestEveryAnswerIsReached(t *testing.T) {
	wanted := append([]played(nil), documented...)
	for _, r := range reasons(t) {
		wanted = append(wanted, played{"", "nop " + r})
	}
	all := exchanges(t)
	for _, w := range wanted {
		reached := false
		for _, p := range all {
			reached = reached || strings.HasPrefix(p.request, w.request) && (p.answer == w.answer ||
				w.answer == "ok <token>" && regexp.MustCompile(`^ok <token\d*> <expiry\d*>$`).MatchString(p.answer) ||
				w.answer == "nop syntax:" && strings.HasPrefix(p.answer, "nop syntax:"))
		}
		if !reached {
			t.Errorf("no transcript has: → %s ← %s", w.request, w.answer)
		}
	}
}

// reasons returns those that a reply can have, out of the source.
func reasons(t *testing.T) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../../tcpproxy/line/reply.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || fmt.Sprint(v.Type) != "Reason" {
			return true
		}
		for _, value := range v.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
		return true
	})
	if len(all) < 15 {
		t.Fatalf("there are only %q", all)
	}
	return all
}

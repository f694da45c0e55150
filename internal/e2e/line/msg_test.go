//go:build linux

package line

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/redistest"
)

// from connects from an address that no other number gives, so that what one address is allowed does not matter.
func (h *house) from(n int) *client {
	h.t.Helper()
	return dialFrom(h.t, fmt.Sprintf("127.0.%d.%d", 1+n/250, 1+n%250), h.listeners["line"])
}

// A thousand numbers, one after the other, from a hundred addresses: the daily budget bounds what they cost.
func TestMSG03Budget(t *testing.T) {
	t.Parallel()
	const budget = 30
	h := start(t, options{app: fmt.Sprintf("\t\tsms_budget %d/1d\n\t\tsignup_rate 100000/1s\n", budget), line: many})
	h.Register("bystander", password)
	for i := range 1000 / 10 {
		c := h.from(i)
		for j := range 10 {
			n := 10*i + j
			want := "ok"
			if n >= budget {
				want = "nop unavailable"
			}
			c.wants(register(fmt.Sprintf("user%03d", n), fmt.Sprintf("+447400123%03d", n)), want)
		}
		c.Close()
	}
	if n := len(h.sms.sent()); n != budget || h.sms.requests() != budget {
		t.Errorf("the provider was asked %d times, and took %d messages", h.sms.requests(), n)
	}
	if rows := h.rows("SELECT count(*) FROM accounts WHERE username LIKE 'user%'"); rows[0] != fmt.Sprint(budget) {
		t.Errorf("there are %s accounts", rows[0])
	}
	if n := strings.Count(h.Log(), "the budget for text messages is used up"); n == 0 {
		t.Error("the operator is not told")
	}
	// Who was sent a code can use it, and who has an account is none the worse for it.
	h.dial("line").granted(login("bystander"))
	c := h.dial("line")
	c.wants("validatephone p:+447400123000 c:"+h.sms.next(t, "+447400123000"), "ok")
	c.granted(login("user000"))
}

// One address causes ten messages an hour, whatever the numbers and the names.
func TestMSG03PerAddress(t *testing.T) {
	t.Parallel()
	h := start(t, options{line: many})
	for i := range 15 {
		want := "ok"
		if i >= 10 {
			want = "nop ratelimited"
		}
		c := h.dial("line")
		c.wants(register(fmt.Sprintf("user%d", i), fmt.Sprintf("+4474001234%02d", i)), want)
		c.Close()
	}
	h.from(1).wants(register("other", "+447400123499"), "ok")
	if n := len(h.sms.sent()); n != 11 {
		t.Errorf("%d messages", n)
	}
}

// One number is sent three messages in ten minutes and five in an hour, however it is written, whoever asks, and from
// wherever.
func TestMSG03PerNumber(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	h := start(t, options{app: "\t\tsessions redis " + r.URL() + "\n", line: many})
	n := 0
	ask := func(form, want string) {
		t.Helper()
		n++
		h.from(n).wants(fmt.Sprintf("register u:user%d p:%s n:%q", n, password, form), want)
	}
	ask("+447400123456", "ok")
	ask("+44 7400 123456", "ok")
	ask("+44 (0)7400-123456", "ok")
	ask("+44.7400.123456", "nop ratelimited")
	ask("+447400123457", "ok")

	passes := func(d time.Duration) { // for what is counted, which is kept as when it will be whole again
		t.Helper()
		keys, err := r.Client().Keys(t.Context(), "*:rate:*").Result()
		if err != nil || len(keys) == 0 {
			t.Fatalf("%d counters, %v", len(keys), err)
		}
		for _, key := range keys {
			if err := r.Client().DecrBy(t.Context(), key, d.Microseconds()).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	passes(9 * time.Minute)
	ask(number, "nop ratelimited")
	passes(time.Minute)
	ask(number, "ok")
	ask(number, "nop ratelimited")
	passes(10 * time.Minute)
	ask(number, "ok")
	for range 3 { // it is the hour's now that is used up
		passes(10 * time.Minute)
		ask(number, "nop ratelimited")
	}
	passes(11 * time.Minute)
	ask(number, "ok")
	if got := h.textsTo(number); got != 6 || len(h.sms.sent()) != 7 {
		t.Errorf("%d messages to the number, of %d", got, len(h.sms.sent()))
	}
	if rows := h.rows("SELECT count(*) FROM accounts"); rows[0] != "7" {
		t.Errorf("there are %s accounts", rows[0])
	}
}

// Only the countries that are allowed are written to, and no number there that is charged at a premium.
func TestMSG03Countries(t *testing.T) {
	t.Parallel()
	h := start(t, options{app: "\t\tphone_countries GB US KZ\n", line: many})
	c := h.dial("line")
	for what, n := range map[string]string{
		"Germany": "+4915123456789", "Latvia": "+37121234567", "Canada, which is +1 too": "+15062345678", "Jamaica, too": "+18762101234",
		"Russia, which is +7 as Kazakhstan is": "+79123456789", "Jersey, which is +44 too": "+447797712345", "a satellite": "+881612345678",
		"premium": "+449098790879", "shared cost": "+448431234567", "toll-free": "+448001234567", "personal": "+447012345678",
		"voice mail": "+445512345678", "American premium": "+19002345678", "no number": "+441", "a service": "+44999",
	} {
		if got := c.ask(register("alice", n)); got != "nop baddata" {
			t.Errorf("%s: got %s", what, got)
		}
	}
	if h.sms.requests() != 0 || len(h.rows("SELECT 1 FROM accounts")) != 0 {
		t.Errorf("%d messages, or an account", h.sms.requests())
	}
	for i, n := range []string{"+447400123456", "+12015550123", "+77710009998"} {
		if got := c.ask(register(fmt.Sprintf("user%d", i), n)); got != "ok" || h.textsTo(n) != 1 {
			t.Errorf("%s: got %s", n, got)
		}
	}
}

// A provider that fails is told as that, and once it is well again, the same line brings the code.
func TestMSG03ProviderFails(t *testing.T) {
	t.Parallel()
	h := start(t, options{line: many})
	file := h.config(options{line: many, app: "\t\tsms webhook http://" + h.sms.addr + "/send {\n\t\t\tretries 0\n\t\t\ttimeout 1s\n\t\t}\n"})
	if err := h.Reload(file); err != nil {
		t.Fatal(err)
	}
	c := h.dial("line")
	for i, fault := range []struct {
		name         string
		breaks, heal func()
	}{
		{"refuses connections", h.sms.stop, h.sms.begin},
		{"answers 500", func() { h.sms.answers(http.StatusInternalServerError, false) }, func() { h.sms.answers(http.StatusOK, false) }},
		{"answers 429", func() { h.sms.answers(http.StatusTooManyRequests, false) }, func() { h.sms.answers(http.StatusCreated, false) }},
		{"answers 403", func() { h.sms.answers(http.StatusForbidden, false) }, func() { h.sms.answers(http.StatusAccepted, false) }},
		{"never answers", func() { h.sms.answers(http.StatusOK, true) }, func() { h.sms.answers(http.StatusOK, false) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			name, n := fmt.Sprintf("user%d", i), fmt.Sprintf("+44740012345%d", i)
			fault.breaks()
			c.wants(register(name, n), "nop unavailable")
			fault.heal()
			if h.textsTo(n) != 0 {
				t.Errorf("it took %d messages", h.textsTo(n))
			}
			c.wants(login(name), "nop unverifiednumber") // the account waits
			c.wants(register(name, n), "ok")
			c.wants("validatephone p:"+n+" c:"+h.sms.next(t, n), "ok")
			c.granted(login(name))
			if rows := h.rows("SELECT * FROM phone_codes"); len(rows) > 0 {
				t.Errorf("left: %q", rows)
			}
		})
	}
	// What the provider could not do was tried once, as it is told, and is on the operator's side of the log alone.
	if !strings.Contains(h.Log(), "cannot send a text message") {
		t.Error("the operator is not told")
	}
}

// Nothing is sent to anybody who has not asked for an account: not on a login, a reset or a guess.
func TestMSG03NobodyIsWrittenTo(t *testing.T) {
	t.Parallel()
	h := start(t, options{line: many})
	h.Register("alice", password) // without an address
	c := h.dial("line")
	for request, want := range map[string]string{
		login("nobody"):                               "nop credentials",
		login("nobody@example.com"):                   "nop credentials",
		login(number):                                 "nop credentials",
		"validatephone p:" + number + " c:123456":     "nop invalidnumber",
		"validateemail e:nobody@example.com c:123456": "nop invalidemail",
		"register u:alice p:" + password + " n:" + number + " e:nobody@example.com":   "nop usernametaken",
		"register u:bob p:short n:" + number + " e:nobody@example.com":                "nop baddata",
		"register u:bob p:" + password + " n:" + number + " e:nobody@example.com x:1": "nop syntax:x",
	} {
		c.wants(request, want)
	}
	for path, body := range map[string]string{
		"/users/requestotp":      `{"username":"nobody"}`,
		"/users/requestotp?bob":  `{"username":"alice"}`,
		"/users/requestotp?mail": `{"username":"nobody@example.com"}`,
		"/users/requestotp?sms":  `{"username":"` + number + `"}`,
	} {
		path, _, _ = strings.Cut(path, "?")
		if status, _, answer := h.Call(http.MethodPost, path, "", body); status == http.StatusOK && !strings.Contains(answer, "ERROR_NO_EMAIL_SET") {
			t.Errorf("%s %s: %d %s", path, body, status, answer)
		}
	}
	// A message that was on its way would be ahead of this one.
	c.wants("register u:carol p:"+password+" n:+447400123459 e:carol@example.com", "ok")
	if messages := h.mail.Wait(t, 1); len(messages) != 1 || messages[0].To[0] != "carol@example.com" {
		t.Errorf("%d mails, the first to %q", len(messages), messages[0].To)
	}
	if sent := h.sms.sent(); len(sent) != 1 || sent[0].To != "+447400123459" || h.sms.requests() != 1 {
		t.Errorf("sent %q", sent)
	}
}

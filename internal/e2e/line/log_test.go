package line

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

var fraction = regexp.MustCompile(`[0-9]+\.[0-9]{3,}`) // a time, which has six digits by chance

// All that a client says is done, and done wrongly, at the most talkative level.
func TestCFG04LogsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	h := start(t, options{global: "\tdebug\n"})
	const wrong, newer = "wr0ng-Passw0rd-of-alice", "Another-Quarry-72"
	address := "alice@example.com"
	codeMailed := h.mailCode()
	secrets := map[string]string{
		"the password": password, "a wrong password": wrong, "another password": newer, "the number": "7400123456", "its digits, spaced": "7400 123",
		"the address": address, "a taken number": "7400123457",
	}
	tell := func(what, token string) {
		part := strings.Split(token, ".")
		secrets[what] = token
		secrets["the payload of "+what], secrets["the signature of "+what], secrets["the end of "+what] = part[1], part[2], token[len(token)-16:]
	}

	c := h.dial("line")
	c.wants(register("alice", number)+" e:"+address, "ok")
	secrets["a code"], secrets["a mailed code"] = h.sms.next(t, number), codeMailed(t, address)
	c.wants(strings.Replace(register("alice", number), password, wrong, 1), "nop usernametaken")
	c.wants("validatephone p:\"+44 7400 123456\" c:"+secrets["a mailed code"], "nop badcode")
	c.wants("validatephone p:"+number+" c:"+secrets["a code"], "ok")
	c.wants("validateemail e:"+address+" c:"+secrets["a mailed code"], "ok")
	c.wants("login u:alice p:"+wrong, "nop credentials")
	c = h.dial("line")
	token, _ := c.granted(login("alice"))
	tell("a token", token)
	c.wants("login u:"+address+" p:"+wrong, "nop credentials")
	bad := token[:len(token)-8] + "AAAAAAAA"
	tell("a bad token", bad)
	c.wants("token t:"+bad, "nop badtoken")
	c.wants("token t:"+token, "ok")
	c.send("login u:alice p:\"" + password + " " + token + "\x00 " + secrets["a code"] + "\n")
	c.expect("nop syntax:\n")
	c.ended()
	for _, first := range []string{ // instead of a line
		"GET /?token=" + token + " HTTP/1.1\r\n\r\n", "logon u:alice p:" + password + "\n", "login u:alice p:" + password + strings.Repeat("x", 2000) + "\n",
		"\x1b[31m" + password + "\n", password,
	} {
		c := h.dial("gate")
		c.send(first)
		c.Close()
	}
	for _, gate := range []string{"gate", "cut", "proxied", "dead"} {
		for _, line := range []string{login("alice"), "token t:" + token, "token t:" + bad} {
			c := h.dial(gate)
			c.send(line + "\nPRIVMSG bob :" + newer + "\n")
			if got := c.line(); strings.HasPrefix(got, "ok ") {
				tell(fmt.Sprintf("the token of %s", gate), strings.Fields(got)[1])
			}
			c.Close()
		}
	}
	h.sms.answers(http.StatusBadRequest, false)
	h.dial("line").wants(strings.Replace(register("bob", "+447400123457"), password, newer, 1), "nop unavailable")
	h.sms.stop()
	h.dial("line").wants(strings.Replace(register("bob", "+447400123457"), password, newer, 1), "nop unavailable")
	raw := gatetest.Dial(t, h.listeners["line"]) // in clear
	raw.Send(login("alice") + "\n")
	raw.Close()
	h.Call(http.MethodPost, "/api/v1/logout", token, "")
	last := h.dial("line")
	last.wants("login u:the-last-one p:"+wrong, "nop credentials")
	h.Stop()

	log := h.Log()
	for _, sign := range []string{`"level":"debug"`, "account registered", "phone number validated", "login failed", "sessions ended", "cannot send a text message", `"logger":"chatgate.line"`} {
		if !strings.Contains(log, sign) {
			t.Errorf("the log has no %s; this proves nothing", sign)
		}
	}
	kept := fraction.ReplaceAllString(log, "")
	for what, secret := range secrets {
		pattern := regexp.QuoteMeta(secret)
		if len(secret) == 6 {
			pattern = `(?:^|[^0-9])` + pattern + `(?:[^0-9]|$)`
		}
		if at := regexp.MustCompile(pattern).FindStringIndex(kept); at != nil {
			begin := strings.LastIndexByte(kept[:at[0]], '\n') + 1
			line, _, _ := strings.Cut(kept[begin:], "\n")
			t.Errorf("%s is in the log:\n%.1500s", what, line)
		}
	}
	for l := range strings.Lines(log) {
		if !json.Valid([]byte(l)) {
			t.Errorf("a line of the log is not one: %q", l)
		}
	}

	// Nor are they in what is kept: the files of the accounts and of the process.
	for what, secret := range secrets {
		if what == "the number" || what == "the address" || len(secret) > 6 {
			h.wantNowhere(what, secret)
		}
	}
}

// wantNowhere fails the test if some file of the gateway's has a secret.
func (h *house) wantNowhere(what, secret string) {
	h.t.Helper()
	err := filepath.WalkDir(h.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), secret) {
			h.t.Errorf("%s is in %s", what, d.Name())
		}
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
}

// What is kept of a number is a hash that nobody can make who lacks this gateway's key.
func TestNumbersAreHashedWithAKey(t *testing.T) {
	t.Parallel()
	var hashes []string
	for range 2 {
		h := start(t, options{})
		h.signUp("alice", number)
		rows := h.rows("SELECT phone FROM phones")
		if len(rows) != 1 || len(rows[0]) != 64 {
			t.Fatalf("kept: %q", rows)
		}
		hashes = append(hashes, rows[0])
	}
	if hashes[0] == hashes[1] {
		t.Error("two gateways have the same hash for a number")
	}
}

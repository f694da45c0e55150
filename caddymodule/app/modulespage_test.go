package app_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/app"
	_ "github.com/chatgate/chatgate/caddymodule/app/testdata/smscommand"
)

var goBlock = regexp.MustCompile("(?s)\n```go\n(.*?\n)```\n")

// TestModulesPage compares the code of docs/modules.md with the code that is tested.
func TestModulesPage(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	blocks := goBlock.FindAllStringSubmatch(read("docs/modules.md"), -1)
	sources := []string{"caddymodule/app/testdata/smscommand/smscommand.go", "caddymodule/app/guest_test.go", "authcore/sqlstore/sqlite_test.go"}
	if len(blocks) != len(sources) {
		t.Fatalf("the page has %d blocks of Go, want %d", len(blocks), len(sources))
	}
	for i, source := range sources {
		if !strings.Contains(read(source), blocks[i][1]) {
			t.Errorf("block %d of the page is not in %s; copy it from there", i+1, source)
		}
	}
	if whole := read(sources[0]); blocks[0][1] != whole {
		t.Errorf("the page does not have all of %s", sources[0])
	}
}

// The module of the page sends text messages, and tells when it cannot.
func TestModuleOfThePage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	message := filepath.Join(dir, "message")
	config := strings.NewReplacer("DIR", dir, "BOX", "page", "REGISTRATION", "open",
		"sms      other", "sms command /bin/sh -c `cat >{env.CHATGATE_TEST_MESSAGE}`").Replace(guests)
	t.Setenv("CHATGATE_TEST_MESSAGE", message)
	raw, err := adapt(t, config)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"sms":{"transport":"command","args":["/bin/sh","-c","cat \u003e{env.CHATGATE_TEST_MESSAGE}"]}`; !strings.Contains(string(raw), want) {
		t.Errorf("there is no %s in %s", want, raw)
	}
	if err := caddy.Load(raw, true); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		happened()
	}()
	a, err := caddy.ActiveContext().App("chatgate")
	if err != nil {
		t.Fatal(err)
	}
	service, done, err := a.(*app.App).Service(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	register := func(name, phone string) error {
		return service.RegisterByPhone(t.Context(), authcore.PhoneRegistration{
			ClaimedName: name, ClaimedPhone: phone, Password: authcore.NewPassword("Lantern-Quarry-Ostrich-71"),
			Client: authcore.Client{Dialect: "test", Addr: netip.MustParseAddr("192.0.2.7")},
		})
	}
	if err := register("alice", "+447400123456"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(message)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^\+447400123456\n.*\d{6}.*\n$`).Match(got) {
		t.Errorf("the program read %q", got)
	}
	if err := os.RemoveAll(message); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(message, 0o700); err != nil { // which the program cannot write to
		t.Fatal(err)
	}
	if err := register("bob", "+447400123457"); authcore.KindOf(err) != authcore.KindUnavailable || strings.Contains(err.Error(), "447400") {
		t.Errorf("a message that cannot be sent is %v", err)
	}
}

func TestModuleOfThePageRefuses(t *testing.T) {
	for options, want := range map[string]string{
		"sms command":                     "sms command needs a program: sms command <program> [<argument>...], at Caddyfile:2",
		"sms command /bin/true {\nbig\n}": "sms command has no option big, at Caddyfile:3",
	} {
		if _, err := adapt(t, "{ chatgate {\n"+options+"\n}\n}\n"); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s is refused with %v\nwant %s", options, err, want)
		}
	}
}

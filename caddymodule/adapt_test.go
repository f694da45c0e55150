package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/chatgate/chatgate/caddymodule"
	"github.com/chatgate/chatgate/internal/certtest"
)

var update = flag.Bool("update", false, "write what is adapted into testdata/adapt, to be read before it is committed")

// A file of testdata/adapt is a Caddyfile, a line of dashes, and what becomes of it: the JSON, or the whole error of one
// whose name says _bad_, with the mistake on the line that ends in "# here".
const adaptCut = "\n----------\n"

func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(raw), adaptCut)
			if !ok {
				t.Fatalf("no line of dashes")
			}
			input += "\n"
			bad := strings.Contains(t.Name(), "_bad_")

			adapted, err := adapt(t, input)
			got := string(adapted)
			if err != nil {
				got = err.Error()
			}
			if *update {
				if err := os.WriteFile(file, []byte(strings.TrimSuffix(input, "\n")+adaptCut+got+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != strings.TrimSuffix(want, "\n") {
				t.Errorf("adapted to\n%s\n\nwant\n%s", got, want)
			}
			if (err != nil) != bad {
				t.Fatalf("what is bad is named so, and nothing else: %v", err)
			}
			if bad {
				if strings.Contains(got, "hunter2") {
					t.Errorf("the error shows a password: %s", got)
				}
				before, _, ok := strings.Cut(input, "# here\n")
				if here := fmt.Sprintf(", at Caddyfile:%d", 1+strings.Count(before, "\n")); !ok || !strings.Contains(got+"\n", here+"\n") && !strings.Contains(got, here+" import chain") {
					t.Errorf("the mistake is here (%v)%s, and the error says: %s", ok, here, got)
				}
				return
			}
			validates(t, adapted)
		})
	}
}

func adapt(t *testing.T, input string) ([]byte, error) {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), nil
}

// validates does what caddy validate does, which leaves nothing behind: least of all a database.
func validates(t *testing.T, config []byte) {
	t.Helper()
	dir := home(t)
	if err := validate(t, config); err != nil {
		t.Errorf("validate: %v", err)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && (strings.Contains(e.Name(), "chatgate") || strings.Contains(e.Name(), ".db")) {
			t.Errorf("validate made %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("validate made the directory of a database: %v", err)
	}
}

// home gives Caddy an empty home, and the placeholders of the test files a value. It returns the home.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	pair := certtest.NewAuthority(t, t.TempDir()).Issue(t, "cert")
	for name, value := range map[string]string{
		"HOME": dir, "XDG_DATA_HOME": dir, "XDG_CONFIG_HOME": dir,
		"CHATGATE_TEST_DB": filepath.Join(dir, "sub", "accounts.db"), "CHATGATE_TEST_ISSUER": "https://chat.example.com", "CHATGATE_TEST_AUDIENCE": "chat",
		"CHATGATE_TEST_SECRET": "hidden/42 @'x", "CHATGATE_TEST_POSTGRES": "postgres://chatgate:hidden42@db.example.com/chatgate",
		"CHATGATE_TEST_REDIS": "redis://:hidden42@localhost", "CHATGATE_TEST_CA": pair.CertFile,
		"CHATGATE_TEST_TORN": "postgres://chatgate:hidden/42@db.example.com/chatgate", "CHATGATE_TEST_TORN_REDIS": "redis://:hidden/42@localhost",
		"CHATGATE_TEST_SMTP": "smtps://chat:hidden42@mail.example.com", "CHATGATE_TEST_INVITE": "f00d-cafe-0123-4567-89ab",
		"CHATGATE_TEST_CERT": pair.CertFile, "CHATGATE_TEST_KEY": pair.KeyFile,
	} {
		t.Setenv(name, value)
	}
	return dir
}

func validate(t *testing.T, config []byte) (err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	var cfg caddy.Config
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		t.Fatalf("no configuration: %v\n%s", err, config)
	}
	quiet := &caddy.CustomLog{BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}}
	if cfg.Logging == nil {
		cfg.Logging = new(caddy.Logging)
	}
	if cfg.Logging.Logs == nil {
		cfg.Logging.Logs = make(map[string]*caddy.CustomLog)
	}
	if cfg.Logging.Logs["default"] == nil {
		cfg.Logging.Logs["default"] = quiet
	}
	return caddy.Validate(&cfg)
}

// Whatever reverse_proxy's own parser says, it says of the same line as it would of the same block without our options.
func TestAdaptReportsTheLinesOfReverseProxy(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/proxy_bad_rp_*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	own := regexp.MustCompile(`(?m)^\s*(identity \{\n\s*user X-User\n\s*\}|(anonymous|expiry|cookie|chat_token) .*)$`)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(raw), adaptCut)
			_, ours := adapt(t, input)
			plain := own.ReplaceAllStringFunc(input, func(s string) string { return strings.Repeat("\n", strings.Count(s, "\n")) })
			_, theirs := adapt(t, strings.ReplaceAll(plain, "chatgate_proxy", "reverse_proxy"))
			if ours == nil || theirs == nil {
				t.Fatalf("ours %v, theirs %v", ours, theirs)
			}
			if _, want, _ := strings.Cut(theirs.Error(), "'reverse_proxy': "); !strings.HasSuffix(ours.Error(), want) {
				t.Errorf("chatgate_proxy says\n%v\nreverse_proxy says\n%v", ours, theirs)
			}
		})
	}
}

// What is wrong with a configuration in JSON is found when it is provisioned, and so by caddy validate.
func TestValidateRefuses(t *testing.T) {
	app := func(fields string) string { return `{"apps":{"chatgate":{` + fields + `}}}` }
	handler := func(fields string) string {
		return `{"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{` + fields + `}]}]}}}}}`
	}
	accounts := func(fields string) string { return handler(`"handler":"chatgate_accounts",` + fields) }
	proxy := func(fields string) string {
		return handler(`"handler":"chatgate_proxy","reverse_proxy":{"upstreams":[{"dial":"127.0.0.1:9000"}]},` + fields)
	}
	postgres := func(fields string) string {
		return app(`"sessions":{"store":"embedded"},"accounts":{"store":"postgres"` + strings.TrimSuffix(","+fields, ",") + `}`)
	}
	redis := func(fields string) string {
		return app(`"sessions":{"store":"redis"` + strings.TrimSuffix(","+fields, ",") + `}`)
	}
	encoder := func(fields string) string {
		return `{"logging":{"logs":{"x":{"writer":{"output":"discard"},"encoder":{"format":"chatgate_redact",` + fields + `}}}}}`
	}
	for name, tc := range map[string]struct{ config, want string }{
		"unknown option":              {app(`"token_lifetime":"1h"`), `unknown field "token_lifetime"`},
		"unknown store":               {app(`"accounts":{"store":"mysql"}`), `accounts "mysql" is unknown; it is postgres or sqlite`},
		"no store":                    {app(`"accounts":{"path":"/x"}`), `accounts needs a store: postgres or sqlite`},
		"no name of a store":          {app(`"accounts":{"store":"postgres://hunter2@localhost"}`), `accounts needs a store: postgres or sqlite`},
		"store that is a number":      {app(`"accounts":{"store":1}`), `accounts: store: json: cannot unmarshal number`},
		"accounts that are text":      {app(`"accounts":"sqlite"`), `accounts: json: cannot unmarshal string`},
		"path of an unset variable":   {app(`"accounts":{"store":"sqlite","path":"{env.CHATGATE_TEST_UNSET}"}`), `accounts sqlite: `},
		"path of an unknown place":    {app(`"accounts":{"store":"sqlite","path":"{no.such.thing}"}`), `accounts sqlite: `},
		"unknown session store":       {app(`"sessions":{"store":"memcached"}`), `sessions "memcached" is unknown; it is embedded or redis`},
		"registration":                {app(`"registration":"friends"`), `registration is "friends"; it is one of ["open" "invite" "closed"]`},
		"registration in capitals":    {app(`"registration":"Closed"`), `registration is "Closed"; it is one of`},
		"confirmed_address":           {app(`"confirmed_address":"yes"`), `confirmed_address is "yes"; it is one of ["optional" "required"]`},
		"confirmed_address, no mail":  {app(`"confirmed_address":"required"`), `confirmed_address is required, but mail is off`},
		"issuer without scheme":       {app(`"issuer":"chat.example.com"`), `issuer "chat.example.com" is not a URL like https://chat.example.com`},
		"issuer with query":           {app(`"issuer":"https://chat.example.com?a"`), `is not a URL like`},
		"issuer with fragment":        {app(`"issuer":"https://chat.example.com#a"`), `is not a URL like`},
		"issuer with user":            {app(`"issuer":"https://a:b@chat.example.com"`), `is not a URL like`},
		"issuer of an unset variable": {app(`"issuer":"{env.CHATGATE_TEST_UNSET}"`), `issuer: `},
		"audience of an unset one":    {app(`"audience":"{env.CHATGATE_TEST_UNSET}"`), `audience: `},
		"min_password low":            {app(`"min_password":7`), `min_password is 7; it must be between 8 and 64`},
		"min_password high":           {app(`"min_password":65`), `min_password is 65; it must be between 8 and 64`},
		"min_password negative":       {app(`"min_password":-1`), `min_password is -1`},
		"min_password as text":        {app(`"min_password":"12"`), `min_password`},
		"session_idle low":            {app(`"session_idle":"59s"`), `session_idle is 59s`},
		"session_idle negative":       {app(`"session_idle":"-1h"`), `session_idle is -1h0m0s`},
		"session_idle above max":      {app(`"session_idle":"31d"`), `session_idle is 744h0m0s`},
		"session_idle above its max":  {app(`"session_idle":"2h","session_max":"1h"`), `session_idle is 2h0m0s`},
		"session_idle in words":       {app(`"session_idle":"forever"`), `invalid duration`},
		"session_max low":             {app(`"session_max":"59s"`), `session_max is 59s; it must be between 1m and 400d`},
		"session_max high":            {app(`"session_max":"401d"`), `session_max is 9624h0m0s; it must be between 1m and 400d`},
		"session_max negative":        {app(`"session_max":-1`), `session_max is -1ns`},
		"login_rate":                  {app(`"login_rate":"often"`), `login_rate "often" is not a rate; write it as <count>/<duration>, such as 60/1m`},
		"login_rate zero":             {app(`"login_rate":"0/1m"`), `login_rate "0/1m" is not a rate`},
		"login_rate as number":        {app(`"login_rate":60`), `login_rate`},
		"signup_rate":                 {app(`"signup_rate":"20/60"`), `signup_rate "20/60" is not a rate`},
		"signup_rate short":           {app(`"signup_rate":"20/999ms"`), `signup_rate "20/999ms" is not a rate`},
		"login_backoff empty":         {app(`"login_backoff":{}`), `backoff needs 1 to 100 free attempts and a positive, growing delay`},
		"login_backoff free":          {app(`"login_backoff":{"free":101,"base":"1s","max":"1m"}`), `backoff needs`},
		"login_backoff order":         {app(`"login_backoff":{"free":5,"base":"1m","max":"1s"}`), `backoff needs`},
		"login_backoff base":          {app(`"login_backoff":{"free":5,"base":"-1s","max":"1s"}`), `backoff needs`},
		"key_rotation short":          {app(`"key_rotation":"59m"`), `key_rotation is 59m0s; it must be at least 1h`},
		"key_rotation negative":       {app(`"key_rotation":"-1h"`), `key_rotation is -1h0m0s; it must be at least 1h`},
		"drain long":                  {app(`"drain":"11m"`), `drain is 11m0s; it must be between 0 and 10m`},
		"drain negative":              {app(`"drain":"-1s"`), `drain is -1s; it must be between 0 and 10m`},
		"hash memory low":             {app(`"hash":{"memory_kib":7}`), `hash memory_kib is 7; it must be between 8 and 262144`},
		"hash memory high":            {app(`"hash":{"memory_kib":262145}`), `hash memory_kib is 262145; it must be between 8 and 262144`},
		"hash memory for threads":     {app(`"hash":{"memory_kib":16,"threads":3}`), `hash: argon2id cost m=16,t=2,p=3 is out of bounds`},
		"hash memory negative":        {app(`"hash":{"memory_kib":-1}`), `hash.memory_kib`},
		"hash time":                   {app(`"hash":{"time":17}`), `hash time is 17; it must be between 1 and 16`},
		"hash threads":                {app(`"hash":{"threads":9}`), `hash threads is 9; it must be between 1 and 8`},
		"hash threads far too many":   {app(`"hash":{"threads":257}`), `hash.threads`},
		"hash parallel":               {app(`"hash":{"parallel":-1}`), `hash parallel is -1; it must be between 1 and 1048576`},
		"hash parallel high":          {app(`"hash":{"parallel":9223372036854775807}`), `hash parallel is 9223372036854775807; it must be between 1 and 1048576`},
		"hash queue":                  {app(`"hash":{"queue":-1}`), `hash queue is -1; it must be between 1 and 1048576`},
		"hash queue high":             {app(`"hash":{"queue":1048577}`), `hash queue is 1048577; it must be between 1 and 1048576`},
		"hash wait":                   {app(`"hash":{"wait":"-1s"}`), `hash wait is -1s; it must be positive`},
		"hash unknown":                {app(`"hash":{"salt":16}`), `unknown field "salt"`},

		"postgres alone":              {app(`"accounts":{"store":"postgres","dsn":"postgres://localhost/chatgate"}`), `accounts postgres needs to know where sessions are`},
		"postgres without dsn":        {postgres(``), `accounts postgres: there is no dsn`},
		"path of postgres":            {postgres(`"dsn":"postgres://localhost","path":"/x"`), `chatgate.accounts.postgres: json: unknown field "path"`},
		"dsn of sqlite":               {app(`"accounts":{"store":"sqlite","dsn":"x"}`), `chatgate.accounts.sqlite: json: unknown field "dsn"`},
		"statement_timeout of sqlite": {app(`"accounts":{"store":"sqlite","statement_timeout":"1s"}`), `chatgate.accounts.sqlite: json: unknown field "statement_timeout"`},
		"password in clear":           {postgres(`"dsn":"postgres://chatgate:hunter2@localhost/chatgate"`), `write {env.NAME} or {file.path} in the place of the password`},
		"password keyword in clear":   {postgres(`"dsn":"host=localhost password='hunter2'"`), `write {env.NAME} or {file.path} in the place of the password`},
		"password half in clear":      {postgres(`"dsn":"host=localhost password={env.CHATGATE_TEST_SECRET}hunter2"`), `write {env.NAME} or {file.path} in the place of the password`},
		"sslpassword in clear":        {postgres(`"dsn":"host=localhost sslpassword=hunter2 password={env.CHATGATE_TEST_SECRET}"`), `write {env.NAME} or {file.path} in the place of the password`},
		"password after escapes":      {postgres(`"dsn":"postgres://chatgate:\\{env.hunter2}@localhost"`), `write {env.NAME} or {file.path} in the place of the password`},
		"password in braces":          {postgres(`"dsn":"host=localhost password={hunter2}"`), `neither {env.NAME} nor {file.path}`},
		"unset password":              {postgres(`"dsn":"postgres://chatgate:{env.CHATGATE_TEST_UNSET}@localhost/chatgate"`), `accounts postgres: evaluated placeholder {env.CHATGATE_TEST_UNSET} is empty`},
		"unset dsn":                   {postgres(`"dsn":"{env.CHATGATE_TEST_UNSET}"`), `accounts postgres: evaluated placeholder {env.CHATGATE_TEST_UNSET} is empty`},
		"password of no file":         {postgres(`"dsn":"host=localhost password={file./nonexistent/password}"`), `accounts postgres: evaluated placeholder {file./nonexistent/password} is empty`},
		"dsn that is none":            {postgres(`"dsn":"{env.CHATGATE_TEST_SECRET}"`), `accounts postgres: the connection string is malformed, or a file that it names cannot be read`},
		"torn dsn of a variable":      {postgres(`"dsn":"{env.CHATGATE_TEST_TORN}"`), `accounts postgres: the connection string cannot be used: it is malformed: in a URL, / ? # and @`},
		"dsn port":                    {postgres(`"dsn":"postgres://localhost:hunter2/chatgate"`), `accounts postgres: the connection string is malformed`},
		"postgres max_conns":          {postgres(`"dsn":"postgres://localhost","max_conns":10001`), `accounts postgres: max_conns is 10001; it must be between 1 and 10000`},
		"postgres connect_timeout":    {postgres(`"dsn":"postgres://localhost","connect_timeout":-1`), `accounts postgres: connect_timeout is -1ns; it must be between 10ms and 1m`},
		"postgres statement_timeout":  {postgres(`"dsn":"postgres://localhost","statement_timeout":"2m"`), `accounts postgres: statement_timeout is 2m0s`},
		"postgres unknown option":     {postgres(`"dsn":"postgres://localhost","timeout":"2m"`), `unknown field "timeout"`},

		"redis without url":      {redis(``), `sessions redis: there is no URL`},
		"url of embedded":        {app(`"sessions":{"store":"embedded","urls":["redis://localhost"]}`), `chatgate.sessions.embedded: json: unknown field "urls"`},
		"key of embedded":        {app(`"sessions":{"store":"embedded","key":"/k"}`), `chatgate.sessions.embedded: json: unknown field "key"`},
		"redis url in clear":     {redis(`"urls":["redis://:hunter2@localhost"]`), `sessions redis: URL 1 cannot be used: a password is written in it`},
		"redis unset password":   {redis(`"urls":["redis://:{env.CHATGATE_TEST_UNSET}@localhost"]`), `sessions redis: URL 1 cannot be used: evaluated placeholder {env.CHATGATE_TEST_UNSET} is empty`},
		"redis unset url":        {redis(`"mode":"cluster","urls":["redis://a","{env.CHATGATE_TEST_UNSET}"]`), `sessions redis: URL 2 cannot be used: evaluated placeholder {env.CHATGATE_TEST_UNSET} is empty`},
		"redis scheme resolved":  {redis(`"urls":["{env.CHATGATE_TEST_POSTGRES}"]`), `sessions redis: URL 1 cannot be used: it must begin with redis://, rediss:// or unix://`},
		"redis torn resolved":    {redis(`"urls":["{env.CHATGATE_TEST_TORN_REDIS}"]`), `sessions redis: URL 1 cannot be used: it`},
		"redis ca without TLS":   {redis(`"ca":"{env.CHATGATE_TEST_CA}","urls":["{env.CHATGATE_TEST_REDIS}"]`), `sessions redis: ca only matters with a rediss URL`},
		"redis URLs that differ": {redis(`"mode":"cluster","urls":["redis://a","{env.CHATGATE_TEST_REDIS}"]`), `sessions redis: URL 2 cannot be used: it may differ from the first in the host alone`},
		"redis user alone":       {redis(`"urls":["redis://hunter2@localhost"]`), `sessions redis: URL 1 cannot be used: it has a user without a password`},
		"redis malformed":        {redis(`"urls":["redis://:{env.CHATGATE_TEST_SECRET}@local%zzhost"]`), `sessions redis: URL 1 cannot be used: it is malformed`},
		"redis database":         {redis(`"urls":["redis://:{env.CHATGATE_TEST_SECRET}@localhost/x"]`), `sessions redis: URL 1 cannot be used: its path must be the number of a database`},
		"redis mode":             {redis(`"mode":"ring","urls":["redis://localhost"]`), `sessions redis: mode is "ring"; it is single, sentinel or cluster`},
		"redis sentinel":         {redis(`"mode":"sentinel","urls":["redis://localhost"]`), `sessions redis: mode sentinel needs master`},
		"redis master":           {redis(`"master":"m","urls":["redis://localhost"]`), `sessions redis: master only matters with mode sentinel`},
		"redis prefix":           {redis(`"prefix":"{a}","urls":["redis://localhost"]`), `sessions redis: prefix is "{a}"`},
		"redis key alone":        {redis(`"key":"/k","urls":["rediss://localhost"]`), `sessions redis: a client certificate needs cert and key`},
		"redis no ca":            {redis(`"ca":"/nonexistent/ca.pem","urls":["rediss://localhost"]`), `sessions redis: ca /nonexistent/ca.pem: no such file or directory`},
		"redis ca of nothing":    {redis(`"ca":"{env.CHATGATE_TEST_KEY}","urls":["rediss://localhost"]`), `sessions redis: ca {env.CHATGATE_TEST_KEY}: there is no PEM certificate in it`},
		"redis cert as key":      {redis(`"cert":"{env.CHATGATE_TEST_CERT}","key":"{env.CHATGATE_TEST_CERT}","urls":["rediss://localhost"]`), `sessions redis: cert {env.CHATGATE_TEST_CERT} {env.CHATGATE_TEST_CERT}: `},
		"redis max_conns":        {redis(`"max_conns":-1,"urls":["redis://localhost"]`), `sessions redis: max_conns is -1; it must be between 4 and 10000`},
		"redis answer_timeout":   {redis(`"answer_timeout":"99ms","urls":["redis://localhost"]`), `sessions redis: answer_timeout is 99ms; it must be between 100ms and 1m`},
		"feed_grace long":        {app(`"sessions":{"store":"redis","urls":["redis://localhost"]},"feed_grace":"6s"`), `feed_grace is 6s; it must be between 1s and 5s`},
		"feed_grace embedded":    {app(`"feed_grace":"2s"`), `feed_grace only matters where sessions are in Redis`},
		"live_grace negative":    {app(`"sessions":{"store":"redis","urls":["redis://localhost"]},"live_grace":-1`), `live_grace is -1ns; it must be between 10s and 24h`},

		"unknown mail":              {app(`"mail":{"transport":"sendmail"}`), `mail "sendmail" is unknown; it is file, off or smtp`},
		"no mail":                   {app(`"mail":{}`), `mail needs a transport: file, off or smtp`},
		"mail off with more":        {app(`"mail":{"transport":"off","from":"chat@example.com"}`), `chatgate.mail.off: json: unknown field "from"`},
		"mail file without":         {app(`"mail":{"transport":"file"}`), `mail file: there is no directory`},
		"mail file of an unset":     {app(`"mail":{"transport":"file","directory":"{env.CHATGATE_TEST_UNSET}"}`), `mail file: `},
		"mail file with url":        {app(`"mail":{"transport":"file","directory":"/x","url":"smtp://localhost"}`), `chatgate.mail.file: json: unknown field "url"`},
		"mail smtp with directory":  {app(`"mail":{"transport":"smtp","directory":"/x","url":"smtp://localhost"}`), `chatgate.mail.smtp: json: unknown field "directory"`},
		"mail templates missing":    {app(`"mail":{"transport":"file","directory":"/x","templates":"/nonexistent"}`), `mail file: templates: open /nonexistent`},
		"mail from of an unset":     {app(`"mail":{"transport":"file","directory":"/x","from":"{env.CHATGATE_TEST_UNSET}"}`), `mail file: `},
		"mail from resolved":        {app(`"mail":{"transport":"file","directory":"/x","from":"{env.CHATGATE_TEST_AUDIENCE}"}`), `mail file: from must be an address`},
		"mail queue negative":       {app(`"mail":{"transport":"file","directory":"/x","queue":-1}`), `mail file: queue is -1; it must be between 1 and 100000`},
		"mail url of an unset":      {app(`"mail":{"transport":"smtp","from":"a@example.com","url":"{env.CHATGATE_TEST_UNSET}"}`), `mail smtp: `},
		"mail url resolved":         {app(`"mail":{"transport":"smtp","from":"a@example.com","url":"{env.CHATGATE_TEST_REDIS}"}`), `mail smtp: the URL cannot be used: it must begin with smtp:// or smtps://`},
		"mail url resolved is torn": {app(`"mail":{"transport":"smtp","from":"a@example.com","url":"{env.CHATGATE_TEST_TORN}"}`), `mail smtp: the URL cannot be used: it is malformed: in a URL`},
		"mail url resolved is far":  {app(`"mail":{"transport":"smtp","from":"a@example.com","tls":"off","url":"smtp://{env.CHATGATE_TEST_AUDIENCE}"}`), `tls off would send codes and passwords in clear`},
		"mail password in clear":    {app(`"mail":{"transport":"smtp","from":"a@example.com","url":"smtp://chat:hunter2@localhost"}`), `write {env.NAME} or {file.path} in the place of the password`},
		"mail tls":                  {app(`"mail":{"transport":"smtp","from":"a@example.com","tls":"maybe","url":"smtp://localhost"}`), `tls must be starttls, implicit or off`},
		"mail tls of a placeholder": {app(`"mail":{"transport":"smtp","from":"a@example.com","tls":"maybe","url":"{env.CHATGATE_TEST_SMTP}"}`), `smtps means TLS from the first byte`},
		"mail ca missing":           {app(`"mail":{"transport":"smtp","from":"a@example.com","ca":"/nonexistent","url":"smtp://localhost"}`), `mail smtp: ca /nonexistent: no such file`},
		"mail ca without one":       {app(`"mail":{"transport":"smtp","from":"a@example.com","ca":"{env.CHATGATE_TEST_KEY}","url":"smtp://localhost"}`), `there is no PEM certificate in it`},
		"mail hello":                {app(`"mail":{"transport":"smtp","from":"a@example.com","hello":"a\r\nb","url":"smtp://localhost"}`), `hello is "a\r\nb"; it is a host's name`},
		"mail hello resolved":       {app(`"mail":{"transport":"smtp","from":"a@example.com","hello":"{env.CHATGATE_TEST_SECRET}","url":"smtp://localhost"}`), `hello {env.CHATGATE_TEST_SECRET} is not a host's name`},
		"mail unknown":              {app(`"mail":{"transport":"off","to":"x"}`), `unknown field "to"`},
		"first_invite in clear":     {app(`"first_invite":{"code":"hunter2-hunter2-hunter2"}`), `first_invite: the code is written as {env.NAME} or {file.path}`},
		"first_invite empty":        {app(`"first_invite":{}`), `first_invite: the code is written as {env.NAME} or {file.path}`},
		"first_invite of an unset":  {app(`"first_invite":{"code":"{env.CHATGATE_TEST_UNSET}"}`), `first_invite {env.CHATGATE_TEST_UNSET}: `},
		"first_invite is short":     {app(`"first_invite":{"code":"{env.CHATGATE_TEST_AUDIENCE}"}`), `an invite code has 16 to 128 characters`},
		"first_invite is too plain": {app(`"first_invite":{"code":"{file.testdata/password.txt}"}`), `first_invite {file.testdata/password.txt}: `},
		"first_invite uses":         {app(`"first_invite":{"code":"{env.CHATGATE_TEST_INVITE}","uses":-1}`), `first_invite: uses is -1; it must be between 1 and 100000`},
		"first_invite lifetime":     {app(`"first_invite":{"code":"{env.CHATGATE_TEST_INVITE}","lifetime":"59s"}`), `first_invite: lifetime is 59s`},

		"no dialect":             {accounts(`"prefix":"/x"`), `dialect "" is unknown; there are: rooms, auth, users`},
		"unknown dialect":        {accounts(`"dialect":"methods"`), `dialect "methods" is unknown; there are: rooms, auth, users`},
		"dialect in capitals":    {accounts(`"dialect":"Rooms"`), `dialect "Rooms" is unknown; there are: rooms, auth, users`},
		"token_lifetime short":   {accounts(`"dialect":"auth","token_lifetime":"59s"`), `token_lifetime is 59s; it must be between 1m and 400d`},
		"token_lifetime long":    {accounts(`"dialect":"users","token_lifetime":"401d"`), `token_lifetime is 9624h0m0s; it must be between 1m and 400d`},
		"token_lifetime below 0": {accounts(`"dialect":"rooms","token_lifetime":-1`), `token_lifetime is -1ns; it must be between 1m and 400d`},
		"invites of rooms":       {accounts(`"dialect":"rooms","require_invites":false`), `require_invites is no option of the dialect rooms`},
		"invites of users":       {accounts(`"dialect":"users","require_invites":true`), `require_invites is no option of the dialect users`},
		"invites as text":        {accounts(`"dialect":"auth","require_invites":"off"`), `require_invites`},
		"logins of auth":         {accounts(`"dialect":"auth","login_creates_users":true`), `login_creates_users is no option of the dialect auth`},
		"cookie of users":        {accounts(`"dialect":"users","cookie":"session"`), `cookie is no option of the dialect users`},
		"origin of users":        {accounts(`"dialect":"users","origins":["https://a.example.com/"]`), `origin "https://a.example.com/" is not of the form https://chat.example.com[:port]`},
		"origin null of users":   {accounts(`"dialect":"users","origins":["NULL"]`), `origin "NULL" is not of the form`},
		"prefix of auth":         {accounts(`"dialect":"auth","prefix":"auth"`), `prefix "auth" is not a path like /api/auth`},
		"unknown accounts field": {accounts(`"dialect":"rooms","mount":"/x"`), `unknown field "mount"`},
		"prefix relative":        {accounts(`"dialect":"rooms","prefix":"api"`), `prefix "api" is not a path like /api/v1`},
		"prefix slash":           {accounts(`"dialect":"rooms","prefix":"/api/"`), `prefix "/api/" is not a path like /api/v1`},
		"prefix root":            {accounts(`"dialect":"rooms","prefix":"/"`), `prefix "/" is not a path like /api/v1`},
		"prefix dots":            {accounts(`"dialect":"rooms","prefix":"/a/../b"`), `prefix "/a/../b" is not a path like /api/v1`},
		"prefix double":          {accounts(`"dialect":"rooms","prefix":"/a//b"`), `prefix "/a//b" is not a path like /api/v1`},
		"prefix percent":         {accounts(`"dialect":"rooms","prefix":"/a%2Fb"`), `prefix "/a%2Fb" is not a path like /api/v1`},
		"prefix placeholder":     {accounts(`"dialect":"rooms","prefix":"/{http.request.host}"`), `is not a path like /api/v1`},

		"no reverse_proxy":           {handler(`"handler":"chatgate_proxy"`), `chatgate_proxy has no reverse_proxy configuration`},
		"unknown proxy field":        {proxy(`"anonymouse":"refuse"`), `unknown field "anonymouse"`},
		"anonymous":                  {proxy(`"anonymous":"readonly"`), `anonymous is "readonly"; it is one of ["read_only" "refuse" "allow" "unmarked"]`},
		"bad_token":                  {proxy(`"bad_token":"4401"`), `bad_token is "4401"; it is one of ["refuse" "close"]`},
		"expiry":                     {proxy(`"expiry":"never"`), `expiry is "never"; it is one of ["session" "token"]`},
		"token from nowhere":         {proxy(`"token_from":["header"]`), `token from "header" is unknown`},
		"token from no cookie":       {proxy(`"token_from":["cookie"]`), `token from cookie needs the name of one; add the option cookie`},
		"token not from the cookie":  {proxy(`"cookie":"c","token_from":["query"],"query":"q"`), `cookie c is not looked at`},
		"backslashes in paths":       {proxy(`"allow_in_path":["backslash"]`), `allow_in_path "backslash" is unknown`},
		"preflights":                 {proxy(`"preflights":"allow"`), `preflights is "allow"; it is one of ["refuse" "pass"]`},
		"origin with path":           {proxy(`"cookie":"c","origins":["https://app.example.com/"]`), `origin "https://app.example.com/" is not of the form https://chat.example.com[:port]`},
		"origin null":                {proxy(`"cookie":"c","origins":["NULL"]`), `origin "NULL" is not of the form`},
		"origin empty":               {proxy(`"cookie":"c","origins":[""]`), `origin "" is not of the form`},
		"origin star":                {proxy(`"cookie":"c","origins":["https://*"]`), `origin "https://*" is not of the form`},
		"max_message small":          {proxy(`"max_message":127`), `max_message is 127; it is -1, for any size, or at least 128 bytes`},
		"max_message negative":       {proxy(`"max_message":-2`), `max_message is -2; it is -1, for any size, or at least 128 bytes`},
		"max_message with unit":      {proxy(`"max_message":"16MiB"`), `max_message`},
		"handshake_timeout word":     {proxy(`"handshake_timeout":"soon"`), `invalid duration`},
		"handshake_timeout negative": {proxy(`"handshake_timeout":"-1s"`), `handshake_timeout is -1s; it must be positive`},
		"cookie":                     {proxy(`"cookie":"chat token"`), `cookie "chat token" is not a valid cookie name; use letters, digits and -_`},
		"no upstream":                {handler(`"handler":"chatgate_proxy","reverse_proxy":{}`), `chatgate_proxy needs an upstream`},
		"identity twice":             {proxy(`"identity":{"user":"X-A","id":"x-a"}`), `identity id: "x-a" is the name of user already`},
		"identity of a default":      {proxy(`"identity":{"user":"remote-NAME"}`), `identity display_name: "Remote-Name" is the name of user already`},
		"identity forbidden":         {proxy(`"identity":{"user":"Cookie"}`), `identity user: "Cookie" means something else`},
		"identity forbidden case":    {proxy(`"identity":{"access":"UPGRADE"}`), `identity access: "UPGRADE" means something else`},
		"identity no header":         {proxy(`"identity":{"email":"X Mail"}`), `identity email: "X Mail" is no name of a header`},
		"identity line break":        {proxy(`"identity":{"email":"X\r\nY"}`), `is no name of a header`},
		"identity unknown":           {proxy(`"identity":{"groups":"X-Groups"}`), `unknown field "groups"`},
		"reverse_proxy's own": {
			handler(`"handler":"chatgate_proxy","reverse_proxy":{"upstreams":[{"dial":"127.0.0.1:9000"}],"load_balancing":{"selection_policy":{"policy":"fairest"}}}`),
			`unknown module: http.reverse_proxy.selection_policies.fairest`,
		},

		"unknown demo field": {handler(`"handler":"chatgate_demo_room","name":"x"`), `unknown field "name"`},

		"unknown encoder":       {encoder(`"wrap":{"format":"xml"}`), `loading the wrapped encoder: `},
		"encoder without name":  {encoder(`"wrap":{}`), `loading the wrapped encoder: `},
		"encoder as text":       {encoder(`"wrap":"json"`), `loading the wrapped encoder: `},
		"unknown encoder field": {encoder(`"replace":"x"`), `unknown field "replace"`},
	} {
		t.Run(name, func(t *testing.T) {
			home(t)
			err := validate(t, []byte(tc.config))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\nis refused with %v\nwant %s", tc.config, err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "hidden")) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

//go:build linux

package walkthrough

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/caddymodule/option"
)

// configured are modules whose table depends on another option; each is looked at with each of these.
var configured = map[string][]string{
	"http.handlers.chatgate_accounts": {`{"dialect":"rooms"}`, `{"dialect":"auth"}`, `{"dialect":"users"}`},
	"layer4.handlers.chatgate_line":   {`{}`, `{"irc":{}}`},
}

// noRow are the JSON fields without a row, by module, or by the option that a block belongs to.
var noRow = map[string]map[string]string{
	"chatgate.accounts.postgres":      {"dsn": "is on the option's line"},
	"chatgate.accounts.sqlite":        {"path": "is on the option's line"},
	"chatgate.mail.file":              {"directory": "is on the option's line"},
	"chatgate.mail.smtp":              {"url": "is on the option's line"},
	"chatgate.sessions.redis":         {"urls": "are on the option's line"},
	"chatgate.sms.file":               {"directory": "is on the option's line"},
	"chatgate.sms.webhook":            {"url": "is on the option's line"},
	"first_invite":                    {"code": "is on the option's line"},
	"http.handlers.chatgate_accounts": {"dialect": "is on the directive's line, and says which table there is"},
	"http.handlers.chatgate_methods":  {"paths": "are the directive's matcher"},
	"http.handlers.chatgate_proxy":    {"reverse_proxy": "has every option that is not in the table"},
	"layer4.handlers.chatgate_line":   {"proxy": "has every option that is not in the table"},
}

// otherKeys are the rows whose name is not their JSON key.
var otherKeys = map[string]string{
	"cert":       "has two files",
	"header":     "stands once a header; the JSON has all headers",
	"first_line": "stands once a line; the JSON has all lines",
	"webirc":     "has two values",
	"token":      "token from …, so that the JSON has token_from",
}

// sections are those of the options page.
var sections = map[string]string{
	"chatgate":                               "the `chatgate` block",
	"http.handlers.chatgate_accounts":        "`chatgate_accounts`",
	"http.handlers.chatgate_methods":         "`chatgate_methods`",
	"http.handlers.chatgate_proxy":           "`chatgate_proxy`",
	"http.handlers.chatgate_demo_room":       "`chatgate_demo_room`",
	"layer4.handlers.chatgate_line":          "`chatgate_line`",
	"layer4.handlers.chatgate_tls":           "`chatgate_tls`",
	"caddy.logging.encoders.chatgate_redact": "`format chatgate_redact`",
}

// place returns the section of the page that has the options of a module, and the option there whose block they stand in.
func place(id string) (section, above string) {
	if section, ok := sections[id]; ok {
		return section, ""
	}
	guest, _ := strings.CutPrefix(id, "chatgate.")
	above, _, _ = strings.Cut(guest, ".")
	return sections["chatgate"], above
}

// TestTables walks the table of every module of ours.
func TestTables(t *testing.T) {
	documented := readOptions(t)
	n := 0
	for _, id := range caddy.Modules() {
		if !strings.Contains(id, "chatgate") {
			continue
		}
		info, err := caddy.GetModule(id)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(id, func(t *testing.T) {
			configs := configured[id]
			if configs == nil {
				configs = []string{"{}"}
			}
			fields := make(map[string]bool) // that have a row under one of the configurations
			for _, config := range configs {
				module, ok := info.New().(option.Holder)
				if !ok {
					t.Fatalf("%s has no table of options", id)
				}
				if err := json.Unmarshal([]byte(config), module); err != nil {
					t.Fatal(err)
				}
				table := module.Options()
				n += len(table)
				checkRows(t, table, reflect.TypeOf(module), fields)
				section, above := place(id)
				checkPage(t, table, documented[section], above)
			}
			for _, key := range topKeys(reflect.TypeOf(info.New())) {
				if _, without := noRow[id][key]; without == fields[key] {
					t.Errorf("the field %s has a row: %t; and is an exception: %t", key, fields[key], without)
				}
			}
		})
	}
	if n < 80 {
		t.Errorf("there are only %d options", n)
	}
}

// checkRows looks at each row, and at those of the blocks below it, of a struct. It notes the fields that have one.
func checkRows(t *testing.T, table option.Table, of reflect.Type, fields map[string]bool) {
	t.Helper()
	keys := topKeys(of)
	for _, o := range table {
		d := o.Describe()
		if d.Allowed == "" {
			t.Errorf("%s has neither bounds nor a reason to have none", d.Name)
		}
		if _, other := otherKeys[d.Name]; !other && !slices.Equal(d.Keys, []string{d.Name}) {
			t.Errorf("%s has the keys %q", d.Name, d.Keys)
		}
		for _, key := range d.Keys {
			if !slices.Contains(keys, key) {
				t.Errorf("%s sets %s, which is no field of %s: it has %q", d.Name, key, of, keys)
			}
			fields[key] = true
		}
		if d.Block == nil {
			continue
		}
		block, inside := fieldType(of, d.Keys[0]), make(map[string]bool)
		checkRows(t, d.Block, block, inside)
		for _, key := range topKeys(block) {
			if _, without := noRow[d.Name][key]; without == inside[key] {
				t.Errorf("the field %s of %s has a row: %t; and is an exception: %t", key, d.Name, inside[key], without)
			}
		}
	}
}

// topKeys returns the JSON keys of the fields of a struct of ours, with what is embedded of ours, and without that of others.
func topKeys(of reflect.Type) (all []string) {
	of = structOf(of)
	for _, f := range reflect.VisibleFields(of) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		ours := len(f.Index) == 1 || structOf(of.Field(f.Index[0]).Type).PkgPath() == of.PkgPath()
		if key != "" && key != "-" && ours {
			all = append(all, key)
		}
	}
	return all
}

func fieldType(of reflect.Type, key string) reflect.Type {
	for _, f := range reflect.VisibleFields(structOf(of)) {
		if k, _, _ := strings.Cut(f.Tag.Get("json"), ","); k == key {
			return structOf(f.Type)
		}
	}
	return nil
}

func structOf(of reflect.Type) reflect.Type {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return of
}

// documentedOption is a row of the options page.
type documentedOption struct {
	line, above             string // the row, and the option whose block it is in
	names                   []string
	defaultText, boundsText string
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// readOptions returns the rows of the page by section.
func readOptions(t *testing.T) map[string][]documentedOption {
	t.Helper()
	all := make(map[string][]documentedOption)
	var section, above string
	var columns []string
	for _, line := range strings.Split(read(t, optionsPage), "\n") {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.ToLower(name)
		}
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.ReplaceAll(line, `\|`, "\x00"), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
		}
		if cells[0] == "option" {
			columns = cells
			continue
		}
		row := documentedOption{line: line}
		for _, span := range codeSpan.FindAllStringSubmatch(cells[0], -1) {
			name, _, _ := strings.Cut(span[1], " ")
			row.names = append(row.names, name)
		}
		if strings.HasPrefix(cells[0], "–") {
			row.above = above
		} else if len(row.names) > 0 {
			above = row.names[0]
		}
		for i, cell := range cells {
			switch columns[i] {
			case "default":
				row.defaultText = cell
			case "bounds":
				row.boundsText = cell
			}
		}
		all[section] = append(all[section], row)
	}
	return all
}

// checkPage looks for each option and its default on the page; they stand in the block of the option above, if there is one.
func checkPage(t *testing.T, table option.Table, page []documentedOption, above string) {
	t.Helper()
	for _, o := range table {
		d := o.Describe()
		rows := rowsOf(page, d.Name, above)
		checkDefault(t, d, d.Name, rows)
		for _, inner := range d.Block {
			checkInner(t, page, rows, d.Name, inner.Describe())
		}
	}
}

// checkInner looks for an option of a block: in a row of its own, or in the default of the block's.
func checkInner(t *testing.T, page, outer []documentedOption, block string, d option.Description) {
	t.Helper()
	if rows := rowsOf(page, d.Name, block); rows != nil {
		checkDefault(t, d, block+" "+d.Name, rows)
		return
	}
	for _, row := range outer {
		if strings.Contains(row.defaultText, "`"+d.Name+" "+d.Default+"`") || strings.Contains(row.line, "as of [`chatgate_proxy`]") {
			return
		}
	}
	t.Errorf("%s does not have %s %s with its default %s", optionsPage, block, d.Name, d.Default)
}

func checkDefault(t *testing.T, d option.Description, name string, rows []documentedOption) {
	t.Helper()
	if rows == nil {
		t.Errorf("%s does not have the option %s", optionsPage, name)
		return
	}
	if strings.HasPrefix(d.Allowed, "it must be") && !slices.ContainsFunc(rows, func(r documentedOption) bool { return r.boundsText != "" }) {
		t.Errorf("%s does not have the bounds of %s: %s", optionsPage, name, d.Allowed)
	}
	if d.Default == "" || slices.ContainsFunc(rows, func(r documentedOption) bool { return r.hasDefault(d.Default) }) {
		return
	}
	t.Errorf("%s says that the default of %s is %s; it is %s", optionsPage, name, rows[0].defaultText, d.Default)
}

// hasDefault reports whether the default is a text, or one of those that it has under different conditions.
func (r documentedOption) hasDefault(text string) bool {
	return r.defaultText == text || slices.ContainsFunc(codeSpan.FindAllStringSubmatch(r.defaultText, -1), func(span []string) bool { return span[1] == text })
}

func rowsOf(page []documentedOption, name, above string) (rows []documentedOption) {
	for _, row := range page {
		if row.above == above && slices.Contains(row.names, name) {
			rows = append(rows, row)
		}
	}
	return rows
}

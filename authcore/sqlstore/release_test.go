package sqlstore_test

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// testdata/schema4.sql is a database with rows of every kind, as the release with version 4 of the schema made them, by
// what its dialects offer. The last account that was made was deleted.
const schema4 = "testdata/schema4.sql"

// What the accounts in it are after the upgrade.
var released = map[authcore.Username]struct {
	email     string
	hashed    bool
	confirmed bool
}{
	"bare":       {"", false, false},
	"claimant":   {"claimant@example.com", true, false},
	"closed":     {"closed@example.com", true, false},
	"loggedout":  {"loggedout@example.com", true, false},
	"maria":      {"", false, false},
	"resetting":  {"resetting@example.com", true, false},
	"revoked":    {"revoked@example.com", true, false},
	"validated":  {"", true, true}, // over line, as those below
	"emailfirst": {"", true, true}, // while its number is pending
	"phonefirst": {"", true, false},
	"neither":    {"", true, false},
	"phoneonly":  {"", false, false},
}

// dump returns all rows of the tables, but for what the upgrade adds.
func dump(t *testing.T, db *sql.DB) map[string][]string {
	t.Helper()
	const account = `number, id, username, skeleton, display_name, avatar_url, bot, email, email_hash, password_hash, disabled,
		created_at, epoch, kept, phone_pending, email_pending`
	const session = `account, id, created_at, last_seen_at, expires_at, idle_limit, generation, epoch, dialect, addr, user_agent`
	out := make(map[string][]string)
	for table, columns := range map[string]string{
		"accounts": account, "sessions": session, "keys": "*", "revoked_sessions": "*", "codes": "*", "invites": "*", "devices": "*", "phones": "*", "phone_codes": "*",
	} {
		for _, row := range rowsOf(t, db, `SELECT `+columns+` FROM `+table) {
			cells := make([]string, 0, len(row))
			for _, name := range slices.Sorted(maps.Keys(row)) {
				cells = append(cells, fmt.Sprintf("%s=%v", name, row[name]))
			}
			out[table] = append(out[table], strings.Join(cells, " "))
		}
		slices.Sort(out[table])
	}
	return out
}

func rowsOf(t *testing.T, db *sql.DB, query string) (all []map[string]any) {
	t.Helper()
	rows, err := db.Query(query)
	must(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		cells, to := make([]any, len(names)), make([]any, len(names))
		for i := range cells {
			to[i] = &cells[i]
		}
		must(t, rows.Scan(to...))
		row := make(map[string]any)
		for i, name := range names {
			if n, ok := cells[i].(int64); ok && isFlag(name) {
				cells[i] = n != 0
			}
			row[name] = cells[i]
		}
		all = append(all, row)
	}
	must(t, rows.Err())
	return all
}

func isFlag(column string) bool {
	return slices.Contains([]string{"bot", "disabled", "phone_pending", "email_pending", "email_confirmed"}, column)
}

// releasedSQLite makes the database of the release.
func releasedSQLite(t *testing.T) (path string, db *sql.DB) {
	t.Helper()
	path = newPath(t)
	must(t, os.WriteFile(path, nil, 0o600))
	db = openRaw(t, path)
	t.Cleanup(func() { must(t, db.Close()) })
	script, err := os.ReadFile(schema4)
	must(t, err)
	_, err = db.Exec(string(script))
	must(t, err)
	_, err = db.Exec(`PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000`)
	must(t, err)
	return path, db
}

// checkReleased checks a database of the release after it was upgraded.
func checkReleased(t *testing.T, s *sqlstore.Store, before, after map[string][]string) {
	t.Helper()
	for table, rows := range before {
		if !slices.Equal(rows, after[table]) {
			t.Errorf("%s:\n%s\nwas\n%s", table, strings.Join(after[table], "\n"), strings.Join(rows, "\n"))
		}
	}
	for name, want := range released {
		a, err := s.AccountByUsername(t.Context(), name)
		must(t, err)
		if a.Email != want.email || (a.EmailHash != nil) != want.hashed || a.EmailConfirmed != want.confirmed {
			t.Errorf("%s: %q, hashed %v, confirmed %v; want %+v", name, a.Email, a.EmailHash != nil, a.EmailConfirmed, want)
		}
		if clash := a.DisplayName == "Maria"; a.DisplayClash != clash { // there is a maria
			t.Errorf("the display name of %s is another's username: %v", name, a.DisplayClash)
		}
		if a.EmailHash == nil {
			continue
		}
		if found, err := s.AccountByEmailHash(t.Context(), a.EmailHash); err != nil || found.ID != a.ID {
			t.Errorf("%s is not found by its address: %v", name, err)
		}
		again := newAccount("again-" + string(name))
		again.EmailHash = a.EmailHash
		got, err := s.CreateAccount(t.Context(), again, authcore.Creation{SharedEmail: true})
		if want.confirmed {
			if authcore.KindOf(err) != authcore.KindEmailTaken {
				t.Errorf("the address of %s again: %v", name, err)
			}
			continue
		}
		must(t, err)
		if got.Number <= 13 {
			t.Errorf("an account has number %d, which another one had", got.Number)
		}
	}
}

func TestSQLiteUpgradeReleased(t *testing.T) {
	t.Parallel()
	path, db := releasedSQLite(t)
	before := dump(t, db)
	s := open(t, path)
	checkReleased(t, s, before, dump(t, db))
	wantMigratedOnce(t, s)
	healthy(t, s)
}

// No account at all is a kind, too: numbers that were given away are not given again.
func TestSQLiteUpgradeKeepsNumbers(t *testing.T) {
	t.Parallel()
	path, db := releasedSQLite(t)
	_, err := db.Exec(`DELETE FROM accounts`)
	must(t, err)
	s := open(t, path)
	a, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	if a.Number != 14 {
		t.Errorf("the first account has number %d, after 13 that are gone", a.Number)
	}
}

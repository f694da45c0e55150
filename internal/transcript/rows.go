package transcript

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // to look into the gateway's database
)

// rows compares what a query finds with its lines. The database is only read, while the gateway uses it.
func (s *Script) rows(where, line string, want []string) {
	s.t.Helper()
	file, query, ok := strings.Cut(strings.TrimPrefix(line, "?"), " ")
	if file == "" {
		file = "accounts.db"
	}
	if !ok {
		s.t.Fatalf("%s: there is no query", where)
	}
	got, err := Rows(filepath.Join(s.g.Dir, file), s.expand(query))
	if err != nil {
		s.t.Fatalf("%s: %v", where, err)
	}
	if len(got) != len(want) {
		s.t.Errorf("%s: %d rows, want %d: %q", where, len(got), len(want), got)
		return
	}
	for i, l := range want {
		if _, row := cutRune(l); !s.match(row, got[i]) {
			s.t.Errorf("%s: row %d is\n%s\nwant\n%s", where, i+1, got[i], row)
		}
	}
}

// Rows returns what a query of a SQLite database finds: the columns of a row set apart by " | ", where NULL is null and bytes
// are in hexadecimal.
func Rows(file, query string) (all []string, err error) {
	u := url.URL{Scheme: "file", Path: file, RawQuery: "mode=ro&_pragma=busy_timeout(10000)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			return nil, err
		}
		var texts []string
		for _, c := range cells {
			switch v := (*c.(*any)).(type) {
			case nil:
				texts = append(texts, "null")
			case []byte:
				texts = append(texts, fmt.Sprintf("%x", v))
			default:
				texts = append(texts, fmt.Sprint(v))
			}
		}
		all = append(all, strings.Join(texts, " | "))
	}
	return all, rows.Err()
}

//go:build linux

package sqlstore_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/pgtest"
)

// TestPostgresBehindPooler has a PgBouncer in between, as it comes or told to pass over what it does not know, that lends
// connections out for a session or for a transaction.
func TestPostgresBehindPooler(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	for name, start := range map[string]func(t *testing.T) *pgtest.Pooler{
		"session":     func(t *testing.T) *pgtest.Pooler { return server.StartPooler(t, "session") },
		"transaction": func(t *testing.T) *pgtest.Pooler { return server.StartPooler(t, "transaction", "default_pool_size=5") },
		"transaction, passing over parameters": func(t *testing.T) *pgtest.Pooler {
			return server.StartPooler(t, "transaction", "default_pool_size=5",
				"ignore_startup_parameters=statement_timeout,lock_timeout,idle_in_transaction_session_timeout,default_transaction_isolation")
		},
	} {
		t.Run(name, func(t *testing.T) {
			pooler := start(t)
			if name == "transaction" {
				pooledContract(t, pooler.DSN(t, server.NewDatabase(t)))
			}
			t.Run("locked", func(t *testing.T) { pooledLocked(t, server, pooler) })
			t.Run("at once", func(t *testing.T) { pooledAtOnce(t, server, pooler) })
		})
	}
	t.Run("a parameter of the connection string", func(t *testing.T) {
		dsn := server.StartPooler(t, "transaction").DSN(t, server.NewDatabase(t)) + "&search_path=public"
		_, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
		if err == nil || !strings.Contains(err.Error(), "does not pass a parameter of the connection string on") || !strings.Contains(err.Error(), "search_path") {
			t.Error(err)
		}
	})
}

// What a store is holds where each transaction may have another connection.
func pooledContract(t *testing.T, dsn string) {
	s := openPostgresWith(t, sqlstore.PostgresOptions{DSN: dsn, ConnectTimeout: 10 * time.Second, StatementTimeout: 10 * time.Second})
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		_, err := s.Writer().Exec(`TRUNCATE accounts, sessions, revoked_sessions, codes, invites, devices, keys RESTART IDENTITY`)
		must(t, err)
		return allOf(s)
	})
}

// The server, too, gives up waiting for a lock, after the store's limit, though no connection has it as a setting. It does
// so with a connection that others use as well, for whom that is no limit.
func pooledLocked(t *testing.T, server *pgtest.Server, pooler *pgtest.Pooler) {
	direct := server.NewDatabase(t)
	s := openPostgresWith(t, sqlstore.PostgresOptions{DSN: pooler.DSN(t, direct), ConnectTimeout: 20 * time.Second, StatementTimeout: 600 * time.Millisecond})
	raw := rawPostgres(t, direct)
	tx, err := raw.Begin()
	must(t, err)
	_, err = tx.Exec(`LOCK TABLE accounts IN SHARE MODE`)
	must(t, err)
	_, err = s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	wantCode(t, err, "55P03")
	must(t, tx.Rollback())
	_, err = s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	for range 20 {
		var limit string
		must(t, s.Reader().QueryRow(`SELECT current_setting('lock_timeout')`).Scan(&limit))
		if limit != "0" {
			t.Fatalf("a connection was given back with a limit of %s", limit)
		}
	}
}

// Stores that open an empty database at once, through one pooler, bring it up to date and work side by side.
func pooledAtOnce(t *testing.T, server *pgtest.Server, pooler *pgtest.Pooler) {
	dsn := pooler.DSN(t, server.NewDatabase(t))
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{
				DSN: dsn, MaxConns: 4, ConnectTimeout: 10 * time.Second, StatementTimeout: 10 * time.Second,
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			var work sync.WaitGroup
			for k := range 4 {
				work.Go(func() {
					for n := range 10 {
						a, err := s.CreateAccount(t.Context(), newAccount(fmt.Sprintf("user%d-%d-%d", i, k, n)), authcore.Creation{})
						if err != nil {
							t.Error(err)
							return
						}
						session := newSession(a.ID)
						if err := s.CreateSession(t.Context(), session); err != nil {
							t.Error(err)
						}
						touch := authcore.Touch{Account: a.ID, Session: session.ID, At: session.LastSeenAt.Add(time.Minute)}
						if err := s.TouchSessions(t.Context(), []authcore.Touch{touch}); err != nil {
							t.Error(err)
						}
						if _, _, err := s.SessionAccount(t.Context(), a.ID, session.ID); err != nil {
							t.Error(err)
						}
					}
				})
			}
			work.Wait()
		})
	}
	all.Wait()
}

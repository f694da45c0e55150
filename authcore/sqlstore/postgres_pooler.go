package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What a pooler such as PgBouncer needs otherwise. It stands between a store and the server, and lends a connection of the
// server's out for as long as a client is connected, or for one transaction only. So nothing may be left behind on a
// connection: no setting, and no prepared statement.

// postgresSettings are the store's own, for every connection, or for every transaction where a pooler is in between.
type postgresSettings map[string]string

func (o PostgresOptions) settings() postgresSettings {
	return postgresSettings{
		"statement_timeout": inMillis(o.StatementTimeout),
		// The server takes a second to notice a deadlock, which is too long; whoever gives up waiting undoes it, too.
		"lock_timeout":                        inMillis(o.StatementTimeout / 3),
		"idle_in_transaction_session_timeout": inMillis(postgresForgotten),
		"default_transaction_isolation":       "read committed",
	}
}

// start has the server make them when a connection begins.
func (p postgresSettings) start(c *pgx.ConnConfig) {
	for name, value := range p {
		c.RuntimeParams[name] = value
	}
}

// pool takes them back from connections through a pooler, which refuses such parameters by default, and returns what makes
// them at the beginning of a transaction, for no longer than that. A single read has the store's own limit.
func (p postgresSettings) pool(c *pgx.ConnConfig) (begin string) {
	begin = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
	for name, value := range p {
		delete(c.RuntimeParams, name)
		if name != "default_transaction_isolation" {
			begin += fmt.Sprintf("; SET LOCAL %s = %s", name, value)
		}
	}
	if c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement { // the driver's default
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return begin
}

// behindPooler reports whether there is a pooler before the server. It refuses parameters that it does not know, unless it
// was told to pass over them; then it gives a process ID of its own making for the one of the server's process.
func behindPooler(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	config = config.Copy()
	config.ConnectTimeout *= 3 // there is time at the start
	ctx, cancel := context.WithTimeout(ctx, postgresLooking)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		if unsupportedParameter(err) {
			return true, nil
		}
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing was done with it
	}()
	r := conn.ExecParams(ctx, `SELECT pg_backend_pid()`, nil, nil, nil, nil).Read() // whatever the encoding is
	if r.Err != nil {
		return false, r.Err
	}
	return len(r.Rows) != 1 || string(r.Rows[0][0]) != strconv.FormatUint(uint64(conn.PID()), 10), nil
}

// unsupportedParameter reports whether a pooler refused a parameter of a new connection.
func unsupportedParameter(err error) bool {
	return postgresCode(err) == "08P01" && strings.Contains(err.Error(), "unsupported startup parameter")
}

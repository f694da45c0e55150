package sqlstore

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// limiter bounds every wait for a PostgreSQL server: the server's own limits are worth nothing while it stands still.
// What the driver calls a tracer is asked for the context of every step.
type limiter struct{ acquire, statement time.Duration }

type limitKey struct{}

func limit(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(ctx, d)
	return context.WithValue(ctx, limitKey{}, cancel)
}

func unlimit(ctx context.Context) {
	if cancel, ok := ctx.Value(limitKey{}).(context.CancelFunc); ok {
		cancel()
	}
}

func (l limiter) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return limit(ctx, l.acquire)
}

func (l limiter) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireEndData) {
	unlimit(ctx)
}

// TraceQueryStart also keeps a commit from being cut off by a caller who has gone: once it is sent, what became of it is
// worth waiting for, but not for much longer than the caller had time.
func (l limiter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	d := l.statement
	if data.SQL == "commit" {
		if end, ok := ctx.Deadline(); ok {
			d = min(d, max(time.Until(end), 0)+postgresCommitSlack)
		}
		ctx = context.WithoutCancel(ctx)
	}
	return limit(ctx, d)
}

func (l limiter) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	unlimit(ctx)
}

func (l limiter) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return limit(ctx, l.statement)
}

func (l limiter) TracePrepareEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareEndData) {
	unlimit(ctx)
}

// boundDialing limits what the driver allows 15 seconds for: asking a server that does not answer to stop, and taking
// leave of it. Until then such a connection has its place in the pool, where a new one is wanted.
func boundDialing(config *pgx.ConnConfig, d time.Duration) {
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return boundedConn{c, d}, c.SetDeadline(time.Now().Add(d))
	}
	// Not called for the connections that only carry the request to stop.
	after := config.AfterNetConnect
	config.AfterNetConnect = func(ctx context.Context, config *pgconn.Config, c net.Conn) (net.Conn, error) {
		if err := c.SetDeadline(time.Time{}); err != nil || after == nil {
			return c, err
		}
		return after(ctx, config, c)
	}
}

// boundedConn has no deadline farther away than limit, unless it has none.
type boundedConn struct {
	net.Conn
	limit time.Duration
}

func (c boundedConn) SetDeadline(t time.Time) error {
	if farthest := time.Now().Add(c.limit); t.After(farthest) {
		t = farthest
	}
	return c.Conn.SetDeadline(t)
}

// exchangeReadOnly throws connections away that cannot write, some time after they were made. Whether one can is decided
// when it is made: by the settings of the server, the database and the user then, and by which server it leads to. Once
// that changes, as after a full disk or a switch of servers, the old ones would go on failing for as long as they last.
func exchangeReadOnly(config *pgxpool.Config) {
	const born = "chatgate.born"
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[born] = time.Now()
		return nil
	}
	config.PrepareConn = func(_ context.Context, c *pgx.Conn) (bool, error) {
		p := c.PgConn()
		// Servers before version 14 do not tell.
		if p.ParameterStatus("default_transaction_read_only") != "on" && p.ParameterStatus("in_hot_standby") != "on" {
			return true, nil
		}
		at, _ := p.CustomData()[born].(time.Time)
		return time.Since(at) < postgresReadOnly, nil
	}
}

var (
	_ pgx.QueryTracer       = limiter{}
	_ pgx.PrepareTracer     = limiter{}
	_ pgxpool.AcquireTracer = limiter{}
)

package sqlstore

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// limiter bounds every wait for a PostgreSQL server, since the server's own limits do not work while it hangs. It is
// a tracer, which the driver asks for the context of every step.
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

// TraceQueryStart also keeps a caller who leaves from cutting off a commit: once sent, its outcome is worth waiting for,
// but not much longer than the caller's deadline.
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

// boundDialing limits two steps for which the driver allows 15 seconds: to cancel a query on a server that does not
// answer, and to close the connection. Until then such a connection takes the place of a new one in the pool.
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
	// Not called for the connections that only carry a cancel request.
	after := config.AfterNetConnect
	config.AfterNetConnect = func(ctx context.Context, config *pgconn.Config, c net.Conn) (net.Conn, error) {
		if err := c.SetDeadline(time.Time{}); err != nil || after == nil {
			return c, err
		}
		return after(ctx, config, c)
	}
}

// boundedConn shortens every deadline to limit. It may also have none.
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

// exchangeReadOnly closes connections that cannot write, some time after they were made. Whether one can write is decided
// when it is made, by the settings of the server, the database and the user, and by the server that it leads to. After
// that changes, as with a full disk or a failover, the old ones would go on failing for as long as they last.
func exchangeReadOnly(config *pgxpool.Config) {
	const born = "chatgate.born"
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[born] = time.Now()
		return nil
	}
	config.PrepareConn = func(_ context.Context, c *pgx.Conn) (bool, error) {
		p := c.PgConn()
		// Servers before version 14 do not report it.
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

package app

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// retired are the mailers of configurations that are gone, each with a queue to finish.
var retired = retirement{grace: 15 * time.Second, patience: time.Hour, last: mailExit, exit: make(chan struct{})}

type retirement struct {
	grace    time.Duration // for what runs in the background for a request of the configuration that is gone
	patience time.Duration // with what is in a queue
	last     time.Duration // that is left of it when the process is going away

	exit chan struct{} // closed when it is
	once sync.Once
	all  sync.WaitGroup
}

func (r *retirement) add(m Mailer) {
	r.all.Go(func() {
		grace := time.NewTimer(r.grace)
		defer grace.Stop()
		select {
		case <-grace.C:
		case <-r.exit:
		}
		ctx, cancel := context.WithTimeout(context.Background(), r.patience)
		defer cancel()
		closed := make(chan struct{})
		defer close(closed)
		go func() {
			select {
			case <-r.exit:
				time.AfterFunc(r.last, cancel)
			case <-closed:
			}
		}()
		if err := closeMailer(ctx, m); err != nil {
			slog.New(ProcessLog{}).Error("mail of an earlier configuration", "error", err)
		}
	})
}

// finish waits until all are done, which does not take long any more.
func (r *retirement) finish() {
	r.once.Do(func() { close(r.exit) })
	r.all.Wait()
}

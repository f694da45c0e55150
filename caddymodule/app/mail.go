package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/mailer"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// MailConfig says how e-mail leaves. Every text but Transport and TLS may hold placeholders.
type MailConfig struct {
	Transport string `json:"transport"` // "off", "file" or "smtp"

	Directory string `json:"directory,omitempty"` // file: where messages are written to, one .eml each
	URL       string `json:"url,omitempty"`       // smtp: smtp:// or smtps://; a password in it has to be a placeholder
	TLS       string `json:"tls,omitempty"`       // smtp: "starttls" (the default with smtp://), "implicit" (smtps://) or "off"
	CA        string `json:"ca,omitempty"`        // smtp: PEM file, whom to trust instead of the system's authorities
	Hello     string `json:"hello,omitempty"`     // smtp: what to call ourselves; the domain of from
	From      string `json:"from,omitempty"`      // an address, or a name with one; has to be said for smtp
	Templates string `json:"templates,omitempty"` // directory of templates to take instead of the built-in ones
	Queue     int    `json:"queue,omitempty"`     // messages that may wait: 1000
}

var helloName = regexp.MustCompile(`^(?:[0-9A-Za-z](?:[0-9A-Za-z.-]{0,251}[0-9A-Za-z])?|\[[0-9A-Za-z.:]{2,64}\])$`)

// check finds what is wrong with c whatever values placeholders have.
func (c *MailConfig) check() error {
	if c == nil {
		return nil
	}
	fail := func(option string, err error) error { return &storeError{"mail " + c.Transport, option, err} }
	switch c.Transport {
	case "off", "file", "smtp":
	default:
		return fmt.Errorf("mail %q is unknown; it is off, file or smtp", c.Transport)
	}
	if c.Transport != "smtp" {
		if err := cmp.Or(
			foreign(fail, "url", c.URL, "smtp"), foreign(fail, "tls", c.TLS, "smtp"), foreign(fail, "ca", c.CA, "smtp"),
			foreign(fail, "hello", c.Hello, "smtp"),
		); err != nil {
			return err
		}
	}
	switch {
	case c.Transport == "off" && *c != MailConfig{Transport: "off"}:
		return fail("", errors.New("there is nothing to say about mail that is off"))
	case c.Transport != "file" && c.Directory != "":
		return fail("directory", errors.New("directory is an option of file"))
	case c.Transport == "file" && c.Directory == "":
		return fail("", errors.New("there is no directory to write messages to"))
	case c.Transport == "smtp":
		if err := c.checkServer(fail); err != nil {
			return err
		}
	}
	if c.From != "" && !syntax.HasPlaceholder(c.From) {
		if _, err := mailer.ParseSender(c.From); err != nil {
			return fail("from", err)
		}
	}
	return inRange(fail, "queue", c.Queue, 1, 100_000, strconv.Itoa)
}

func (c *MailConfig) checkServer(fail func(string, error) error) error {
	if c.URL == "" {
		return fail("", errors.New("there is no URL, such as smtp://mail.example.com"))
	}
	a, err := syntax.ParseAddress(c.URL)
	if err == nil && len(a.Names) == 0 {
		_, err = mailer.ParseURL(c.URL, mailer.Security(c.TLS))
	} else if err == nil && a.Scheme != "" { // of the rest, one like it has to do
		_, err = mailer.ParseURL(a.Scheme+"://localhost", mailer.Security(c.TLS))
	}
	switch {
	case err != nil:
		return fail("", fmt.Errorf("the URL cannot be used: %w", err))
	case c.From == "":
		return fail("", errors.New("from is needed, the address that messages are from"))
	case c.TLS == "off" && c.CA != "":
		return fail("ca", errors.New("ca only matters with TLS"))
	case c.Hello != "" && !syntax.HasPlaceholder(c.Hello) && !helloName.MatchString(c.Hello):
		return fail("hello", fmt.Errorf("hello is %q; it is a host's name", c.Hello))
	}
	return nil
}

// mailing is how e-mail leaves, with every placeholder resolved: it holds secrets. Without a key there is none.
type mailing struct {
	key     string // says which mailer is meant, and holds no secret
	options mailer.Options
}

// resolveMail checks how e-mail leaves, and reads the files that that names.
func (a *App) resolveMail(repl *caddy.Replacer, issuer string) (mailing, error) {
	c := a.Mail
	if c == nil || c.Transport == "off" {
		return mailing{}, c.check()
	}
	if err := c.check(); err != nil {
		return mailing{}, err
	}
	fail := func(err error) (mailing, error) {
		return mailing{}, &storeError{store: "mail " + c.Transport, err: err}
	}
	o := mailer.Options{Issuer: issuer, Queue: c.Queue, Log: slog.New(ProcessLog{})}
	from, err := repl.ReplaceOrErr(c.From, true, true)
	if err != nil {
		return fail(err)
	}
	if o.From, err = mailer.ParseSender(cmp.Or(from, "chatgate@"+senderDomain(issuer))); err != nil {
		return fail(err)
	}
	dir, err := repl.ReplaceOrErr(c.Templates, true, true)
	if err == nil {
		o.Templates, err = mailer.LoadTemplates(dir)
	}
	if err != nil {
		return fail(err)
	}
	var password mailer.Password
	var authority string
	if c.Transport == "file" {
		if o.Dir, err = repl.ReplaceOrErr(c.Directory, true, true); err != nil {
			return fail(err)
		}
	} else {
		if o.Server, authority, err = c.resolveServer(repl); err != nil {
			return fail(err)
		}
		password, o.Server.Password = o.Server.Password, ""
	}
	raw, err := json.Marshal([]any{o.Server, o.Dir, string(password), authority, o.From.String(), o.Templates.Fingerprint(), issuer, c.Queue})
	if err != nil {
		return fail(err)
	}
	if o.Server != nil {
		o.Server.Password = password
	}
	sum := sha256.Sum256(raw)
	return mailing{"sha256:" + hex.EncodeToString(sum[:]), o}, nil
}

// senderDomain is what messages are from where nobody said it: the issuer's host, if that can have mail.
func senderDomain(issuer string) string {
	if u, err := url.Parse(issuer); err == nil {
		if _, err := authcore.ParseEmail("chatgate@" + u.Hostname()); err == nil {
			return u.Hostname()
		}
	}
	return "chatgate.invalid"
}

// resolveServer returns how to reach the mail server, and what is in the file with its authority.
func (c *MailConfig) resolveServer(repl *caddy.Replacer) (*mailer.Server, string, error) {
	a, err := syntax.ParseAddress(c.URL)
	if err != nil {
		return nil, "", err
	}
	text, err := a.Resolve(repl)
	if err != nil {
		return nil, "", err
	}
	if _, err := syntax.ParseAddress(text); errors.Is(err, syntax.ErrTorn) { // what else it says is of no use here
		return nil, "", fmt.Errorf("the URL cannot be used: %w", syntax.ErrTorn)
	}
	s, err := mailer.ParseURL(text, mailer.Security(c.TLS))
	if err != nil {
		return nil, "", fmt.Errorf("the URL cannot be used: %w", err)
	}
	if s.Hello, err = repl.ReplaceOrErr(c.Hello, true, true); err != nil {
		return nil, "", err
	}
	if s.Hello != "" && !helloName.MatchString(s.Hello) {
		return nil, "", fmt.Errorf("hello %s is not a host's name", c.Hello) // and no more, since it may be a secret
	}
	var file string
	authority, err := readOption(repl, c.CA, &file)
	if err != nil {
		return nil, "", fmt.Errorf("ca %s: %w", c.CA, err)
	}
	if c.CA != "" {
		s.RootCAs = x509.NewCertPool()
		if !s.RootCAs.AppendCertsFromPEM([]byte(authority)) {
			return nil, "", fmt.Errorf("ca %s: there is no PEM certificate in it", c.CA)
		}
	}
	return &s, authority, nil
}

// mails holds every mailer in use, by what it was configured with: so a reload that changes nothing about mail loses
// nothing of its queue.
var mails = caddy.NewUsagePool()

// mailExit is how long a mailer may go on with its queue when the process is going away.
const mailExit = 5 * time.Second

// mailHolder is a place in the pool. It is empty until open.
type mailHolder struct {
	mailing

	mu     sync.Mutex
	mailer *mailer.Mailer
}

// takeMail returns nil where there is no mail.
func takeMail(m mailing) (*mailHolder, error) {
	if m.key == "" {
		return nil, nil
	}
	h, _, err := mails.LoadOrNew(m.key, func() (caddy.Destructor, error) { return &mailHolder{mailing: m}, nil })
	if err != nil {
		return nil, err
	}
	return h.(*mailHolder), nil
}

// open returns the mailer, or nil where there is none. The first to ask begins its work.
func (h *mailHolder) open() (authcore.Mailer, error) {
	if h == nil {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mailer == nil {
		m, err := mailer.New(h.options)
		if err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
		mailed.add(m)
		h.mailer = m
	}
	return h.mailer, nil
}

func (h *mailHolder) release() error {
	if h == nil {
		return nil
	}
	_, err := mails.Delete(h.key)
	return err
}

// Destruct implements caddy.Destructor: the last reference is gone. On a reload nobody waits for what is still in the
// queue.
func (h *mailHolder) Destruct() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.mailer
	if m == nil {
		return nil
	}
	h.mailer = nil
	if !caddy.Exiting() {
		retired.add(m)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), mailExit)
	defer cancel()
	return closeMailer(ctx, m)
}

func closeMailer(ctx context.Context, m *mailer.Mailer) error {
	err := m.Close(ctx)
	mailed.remove(m)
	if err != nil {
		return fmt.Errorf("closing mail: %w", err)
	}
	return nil
}

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

func (r *retirement) add(m *mailer.Mailer) {
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

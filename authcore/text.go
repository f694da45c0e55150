package authcore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/template"
	"time"
	"unicode"
)

// Texter sends text messages.
type Texter interface {
	// Send hands a message to the provider, and returns when that has accepted or refused it, or ctx ends. Errors contain
	// neither the number nor the text.
	Send(ctx context.Context, to Phone, text string) error
}

// noTexts is the Texter of a service without text messages.
type noTexts struct{}

var errNoTexts = errors.New("text messages are off")

func (noTexts) Send(context.Context, Phone, string) error { return errNoTexts }

// How many text messages a client address may cause: ten in any hour. A budget refills while it is spent.
var textsAnHour = Rate{Burst: 10, Per: 10 * time.Hour}

// textPatience bounds the hand-over of a text message that a request waits for.
const textPatience = 10 * time.Second

// Texts are short: one message of 160 characters costs as little as an empty one.
var (
	codeText  = template.Must(template.New("code").Parse("{{.Code}} is your code for {{.Service}}. It is good for {{.Minutes}} minutes. Nobody will ask you for it."))
	takenText = template.Must(template.New("taken").Parse("Somebody wants to use this number at {{.Service}}, where it is known already. If it was not you, there is nothing to do."))
)

// textData is the data for the templates of texts. Users choose none of it.
type textData struct {
	Service string // the issuer's host
	Code    string
	Minutes int
}

func (s *Service) text(t *template.Template, code OneTimeCode) (string, error) {
	var b strings.Builder
	err := t.Execute(&b, textData{serviceName(s.policy.Issuer), string(code), int(CodeLifetime / time.Minute)})
	return b.String(), err
}

// serviceName returns the name of an issuer in messages.
func serviceName(issuer string) string {
	name := issuer
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		name = u.Hostname()
	}
	name = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, name)
	return cutUTF8(name, 64)
}

// takeText counts a message against the limit of its number and the budget of all, before it is known whether it will be
// sent. The limit of the client's address was taken before.
func (s *Service) takeText(ctx context.Context, hash []byte) error {
	if err := s.takeSend(ctx, LimitTarget, phoneKey(hash)); err != nil {
		return err
	}
	wait, err := query(ctx, "counting a message", func(ctx context.Context) (time.Duration, error) {
		return s.state.options.Limits.Take(ctx, LimitBudget, "texts", s.policy.TextBudget)
	})
	if err == nil && wait > 0 {
		s.state.options.Log.Error("the budget for text messages is used up; raise it, or look for abuse", "wait", wait)
		err = &Error{Kind: KindUnavailable, Msg: "no message can be sent now", Err: errors.New("the budget is used up"), RetryAfter: wait}
	}
	return err
}

// sendText sends a message that a request waits for.
func (s *Service) sendText(ctx context.Context, to Phone, text string) error {
	ctx, cancel := context.WithTimeout(ctx, textPatience)
	defer cancel()
	if err := s.texter.Send(ctx, to, text); err != nil {
		s.state.options.Log.Error("cannot send a text message", "error", err)
		return &Error{Kind: KindUnavailable, Msg: "the message could not be sent", Err: fmt.Errorf("sending a text message: %w", err)}
	}
	return nil
}

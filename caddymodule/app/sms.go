package app

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
)

// SMSModule is a module in the namespace chatgate.sms. It sends text messages.
type SMSModule interface {
	caddy.Module

	// Open makes the texter; nil means that text messages are off. It connects to nothing before the first message. It is
	// called after Provision, once for a configuration, and again if that is still needed after its Cleanup.
	Open() (Texter, error)
}

// Texter sends text messages.
type Texter interface {
	authcore.Texter

	// Stats returns the current counters.
	Stats() TextStats

	// Close frees idle resources. Calls of Send may still be running.
	Close()
}

// TextStats are the counters of a [Texter], for metrics. They only grow.
type TextStats struct {
	Sent   uint64 // accepted by the provider
	Failed uint64
}

// unmarshalSMS reads sms <transport> …, with the parser of chatgate.sms.<transport>.
func (a *App) unmarshalSMS(d *caddyfile.Dispenser) (err error) {
	_, a.SMSRaw, err = unmarshalGuest[SMSModule](d, smsGuest)
	return err
}

// texting returns the texter, or nil if text messages are off.
func (a *App) texting() (authcore.Texter, error) {
	if a.texter == nil && a.sms != nil {
		t, err := a.sms.Open()
		if err != nil {
			return nil, fmt.Errorf("sms: %w", err)
		}
		if t == nil {
			return nil, nil
		}
		texted.add(t)
		a.texter = t
	}
	if a.texter == nil {
		return nil, nil
	}
	return a.texter, nil
}

// closeTexts closes the texter when nothing uses the service any more.
func (a *App) closeTexts() {
	if a.texter != nil {
		a.texter.Close()
		texted.remove(a.texter)
		a.texter = nil
	}
}

// warnOfTexts warns of risky settings. The service is open.
func (a *App) warnOfTexts() {
	if a.texter == nil {
		return
	}
	if to, ok := a.sms.(FileSender); ok {
		a.logger.Warn("text messages are written to files, and sent to nobody", zap.String("directory", to.Directory()))
	} else if len(a.PhoneCountries) == 0 {
		a.logger.Warn("text messages are sent to every country, and some are expensive; set phone_countries")
	}
}

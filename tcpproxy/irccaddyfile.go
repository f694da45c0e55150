package tcpproxy

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// takeIRC finds whether the upstreams of a segment are IRC servers, and returns it without the word that says so.
func (l *Line) takeIRC(all caddyfile.Segment) (caddyfile.Segment, error) {
	const word = "irc"
	var others []caddyfile.Token // upstreams that are none
	d := caddyfile.NewDispenser(all)
	d.Next()
	for d.NextArg() {
		others = append(others, d.Token())
	}
	kept := make(caddyfile.Segment, 0, len(all))
	kept = append(kept, all...)
	for d.NextBlock(0) {
		if d.Val() != "upstream" {
			continue
		}
		at := d.Token()
		if next, ok := peek(d); !ok || next != word {
			others = append(others, at)
			continue
		}
		d.NextArg()
		for i := 1; i < len(kept); i++ {
			if kept[i-1].Text == "upstream" && kept[i].Text == word && kept[i].Line == d.Line() && kept[i].File == d.File() {
				kept = slices.Delete(kept, i, i+1)
				break
			}
		}
		if _, ok := peek(d); !ok {
			return nil, d.Errf("upstream irc needs an address, such as 127.0.0.1:6667")
		}
		l.IRC = new(IRC)
	}
	if l.IRC != nil && len(others) > 0 {
		return nil, syntax.At(others[0], errMixed)
	}
	return kept, nil
}

func (l *Line) unmarshalIRC(d *caddyfile.Dispenser) error {
	if l.IRC == nil {
		return d.Errf("irc only matters with an upstream of that kind: upstream irc <address>")
	}
	if d.NextArg() {
		return d.Errf("unexpected %q behind irc", d.Val())
	}
	_, err := option.Block{Of: "irc", Table: l.IRC.Options()}.Read(d)
	return err
}

func (i *IRC) unmarshalWebIRC(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 || slices.Contains(args, "") {
		return d.Errf("webirc has a password, and may have the gateway's name behind it")
	}
	i.WebIRCPassword = args[0]
	if len(args) > 1 {
		i.WebIRCGateway = args[1]
	}
	return nil
}

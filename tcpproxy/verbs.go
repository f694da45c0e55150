package tcpproxy

import (
	"context"
	"strings"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// The bounds of this dialect's contract, in characters.
const (
	minUsername, maxUsername = 3, 32
	minPassword, maxPassword = 10, 64
)

// request is one on its way to the domain.
type request struct {
	service  *authcore.Service
	args     map[line.Key]string
	client   authcore.Client
	lifetime time.Duration // of tokens
}

// outcome is what came of a request that succeeded.
type outcome struct {
	reply line.Reply
	caller
}

// caller is who may be handed over, and by what. The zero value is nobody.
type caller struct {
	access access
	id     authcore.ProvenSession // of a member
	fresh  bool                   // the session was begun by this request
}

// verbs has what is done about each: one call on the service.
var verbs = map[line.Verb]func(context.Context, request) (outcome, error){
	line.Login:         login,
	line.Register:      register,
	line.ValidatePhone: validatePhone,
	line.ValidateEmail: validateEmail,
	line.Token:         token,
	line.Visit:         visit,
}

func login(ctx context.Context, r request) (outcome, error) {
	c := authcore.Credentials{Password: authcore.NewPassword(r.args["p"]), TokenLifetime: r.lifetime, Enter: true, Client: r.client}
	if u := r.args["u"]; strings.Contains(u, "@") { // which no username has
		c.ClaimedEmail = u
	} else {
		c.ClaimedName = u
	}
	g, err := r.service.Login(ctx, c)
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		reply:  line.Reply{Token: string(g.Token), Expires: g.Expires},
		caller: caller{access: readWrite, id: g.Proven, fresh: true},
	}, nil
}

func token(ctx context.Context, r request) (outcome, error) {
	id, err := r.service.Authenticate(ctx, authcore.UnverifiedToken(r.args["t"]))
	if err != nil {
		return outcome{}, err
	}
	return outcome{caller: caller{access: readWrite, id: id}}, nil
}

// visit is of nobody, who may read along. Whether that is allowed was asked before.
func visit(context.Context, request) (outcome, error) {
	return outcome{caller: caller{access: readOnly}}, nil
}

func register(ctx context.Context, r request) (outcome, error) {
	return outcome{}, r.service.RegisterByPhone(ctx, authcore.PhoneRegistration{
		ClaimedName: r.args["u"], Password: authcore.NewPassword(r.args["p"]), ClaimedPhone: r.args["n"], ClaimedEmail: r.args["e"],
		Client: r.client, MinUsername: minUsername, MaxUsername: maxUsername, MinPassword: minPassword, MaxPassword: maxPassword,
	})
}

func validatePhone(ctx context.Context, r request) (outcome, error) {
	return outcome{}, r.service.ValidatePhone(ctx, authcore.PhoneValidation{ClaimedPhone: r.args["p"], Code: r.args["c"], Client: r.client})
}

func validateEmail(ctx context.Context, r request) (outcome, error) {
	return outcome{}, r.service.ValidateEmail(ctx, authcore.EmailValidation{ClaimedEmail: r.args["e"], Code: r.args["c"], Client: r.client})
}

package authcore

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Registration is a request for an account.
type Registration struct {
	ClaimedName   string
	Password      Password
	DisplayName   string     // optional
	ClaimedEmail  string     // optional
	NeedInvite    bool       // even if the policy does not
	Invite        InviteCode // ignored unless one is needed
	TokenLifetime time.Duration
	Client        Client
}

// Register makes an account. Kinds: RegistrationClosed, InviteRequired, RateLimited, InvalidInput, InvalidUsername,
// WeakPassword, InvalidEmail, BadInvite, UsernameTaken, EmailTaken, Unavailable.
func (s *Service) Register(ctx context.Context, r Registration) (Account, error) {
	a, invite, err := s.prepareAccount(ctx, r)
	if err != nil {
		return Account{}, err
	}
	a, err = s.createAccount(ctx, a, invite, r.Client)
	if err == nil {
		s.greetAddress(ctx, a, r.Client)
	}
	return a, err
}

// Join makes an account and begins its first session. Kinds: as those of Register. After an error there is neither,
// except after Unavailable, when a login tells.
func (s *Service) Join(ctx context.Context, r Registration) (Grant, error) {
	a, invite, err := s.prepareAccount(ctx, r)
	if err != nil {
		return Grant{}, err
	}
	// The session first: without its account it is harmless, while an account without a session would stop its owner
	// from trying again.
	g, err := s.startSession(ctx, a, r.Client, r.TokenLifetime)
	if err != nil {
		return Grant{}, err
	}
	g.Account, err = s.createAccount(ctx, a, invite, r.Client)
	if err != nil {
		err2 := exec(context.WithoutCancel(ctx), "ending a session", func(ctx context.Context) error {
			_, err := s.state.options.Sessions.EndSession(ctx, a.ID, g.Session.ID)
			return err
		})
		if err2 != nil {
			s.state.options.Log.Warn("cannot end the session of an account that was not made; it gives no access", "error", err2)
		}
		return Grant{}, err
	}
	g.Proven.Number, g.Proven.DisplayName = g.Account.Number, g.Account.toldName() // which the store decided
	s.greetAddress(ctx, g.Account, r.Client)
	s.publish(g.event(EventLogin, r.Client))
	return g, nil
}

// prepareAccount checks a registration, and returns the account to create and the hash of the invite to redeem.
func (s *Service) prepareAccount(ctx context.Context, r Registration) (Account, []byte, error) {
	if s.policy.Registration == RegistrationClosed {
		return Account{}, nil, Errorf(KindRegistrationClosed, "new accounts are not accepted here")
	}
	needInvite := r.NeedInvite || s.policy.Registration == RegistrationInvited
	if needInvite && r.Invite == "" {
		return Account{}, nil, Errorf(KindInviteRequired, "an invite is needed")
	}
	name, err := ParseUsername(r.ClaimedName)
	if err != nil {
		return Account{}, nil, err
	}
	if err := r.Password.check(s.policy.MinPassword, name); err != nil {
		return Account{}, nil, err
	}
	a := Account{ID: AccountID(uuid.NewString()), Username: name, CreatedAt: s.wholeNow()}
	if a.DisplayName, err = ParseDisplayName(r.DisplayName); err != nil {
		return Account{}, nil, err
	}
	if r.ClaimedEmail == "" && s.policy.ConfirmedEmail {
		return Account{}, nil, errEmailIsRequired
	}
	if r.ClaimedEmail != "" {
		email, err := ParseEmail(r.ClaimedEmail)
		if err != nil {
			return Account{}, nil, err
		}
		a.Email, a.EmailHash = string(email), EmailHash(s.state.emailKey, email)
	}
	if err := s.take(ctx, LimitSignup, r.Client, s.policy.SignupRate); err != nil {
		return Account{}, nil, err
	}
	// The database has the last word; this saves the cost of the hash.
	var invite []byte
	if needInvite {
		invite = s.state.inviteHash(r.Invite)
		if err := s.checkInvite(ctx, invite, a.EmailHash, a.CreatedAt); err != nil {
			return Account{}, nil, err
		}
	}
	if _, err := s.accountByUsername(ctx, name); err == nil {
		return Account{}, nil, Errorf(KindUsernameTaken, "this username is taken")
	} else if KindOf(err) != KindUnknownAccount {
		return Account{}, nil, err
	}
	a.PasswordHash, err = s.hasher.hash(ctx, caller{addr: r.Client.Addr}, r.Password)
	return a, invite, err
}

func (s *Service) createAccount(ctx context.Context, a Account, invite []byte, c Client) (Account, error) {
	a, err := query(ctx, "creating an account", func(ctx context.Context) (Account, error) {
		return s.state.options.Accounts.CreateAccount(ctx, a, Creation{Invite: invite, SharedEmail: s.confirms()})
	})
	if err != nil {
		return Account{}, err
	}
	s.publish(byOwner(EventAccountRegistered, a, c))
	s.tellShownAs(ctx, a)
	return a, nil
}

// tellShownAs has every node look those up anew whose display name looks like the username of a new account.
func (s *Service) tellShownAs(ctx context.Context, a Account) {
	ctx = context.WithoutCancel(ctx)
	ids, err := query(ctx, "looking up display names", func(ctx context.Context) ([]AccountID, error) {
		return s.state.options.Accounts.AccountsShownAs(ctx, a.Username)
	})
	if err != nil { // the account is made; what was known of them lapses
		s.state.options.Log.Warn("those with a display name like a new username could not be looked up", "account", a.ID, "error", err)
	}
	for _, id := range ids {
		if id != a.ID {
			s.tellChanged(ctx, id)
		}
	}
}

package authcore

import (
	"context"
	"crypto/sha256"
	"time"
)

// Credentials are a claim to an account.
type Credentials struct {
	ClaimedName   string
	ClaimedEmail  string // instead of a name
	Password      Password
	TokenLifetime time.Duration // of the token; 0: the session's
	Enter         bool          // the session is for the chat alone, so whom the policy does not let in gets none
	Client        Client
}

// Login begins a session. Kinds: RateLimited, UnknownAccount, WrongPassword, AccountDisabled, UnverifiedPhone,
// UnverifiedEmail, Unavailable; AccountDisabled and the Unverified ones only after the right password. An unknown name
// costs as much time and as many attempts as a wrong password, and where accounts are concealed gets the same answer.
func (s *Service) Login(ctx context.Context, c Credentials) (Grant, error) {
	g, err := s.login(ctx, c)
	if s.policy.Conceal && KindOf(err) == KindUnknownAccount {
		err = errWrongPassword
	}
	return g, err
}

var errWrongPassword = &Error{Kind: KindWrongPassword, Msg: "wrong password"}

// LoginOrJoin is Login, but makes the account if the name is free, registration is open, and an account needs no
// address. Kinds: those of Login and of Join.
func (s *Service) LoginOrJoin(ctx context.Context, c Credentials) (Grant, error) {
	if s.policy.Registration != RegistrationOpen || s.policy.ConfirmedEmail || c.ClaimedEmail != "" {
		return s.Login(ctx, c)
	}
	for try := 1; ; try++ {
		g, err := s.login(ctx, c)
		if KindOf(err) != KindUnknownAccount {
			return g, err
		}
		g, err = s.Join(ctx, Registration{ClaimedName: c.ClaimedName, Password: c.Password, TokenLifetime: c.TokenLifetime, Client: c.Client})
		if KindOf(err) != KindUsernameTaken || try == 2 {
			return g, err
		}
		// Another caller made it meanwhile, or has a name that looks like it.
		if at, found := s.claimedAccount(ctx, c.ClaimedName, c.Client); found != nil || at.class != LimitAccount {
			return g, err
		}
	}
}

var errNobody = &Error{Kind: KindUnknownAccount, Msg: "no account has this name"}

func (s *Service) login(ctx context.Context, c Credentials) (Grant, error) {
	if err := s.take(ctx, LimitLogin, c.Client, s.policy.LoginRate); err != nil {
		return Grant{}, err
	}
	find := s.claimedAccount
	claimed := c.ClaimedName
	if c.ClaimedEmail != "" {
		find, claimed = s.claimedAddress, c.ClaimedEmail
	}
	at, err := find(ctx, claimed, c.Client)
	if err != nil {
		return Grant{}, err
	}
	rehash, err := s.provePassword(ctx, at, c.Password)
	if err == nil {
		err = at.account.pending()
	}
	if err == nil && c.Enter {
		err = s.admit(&at.account)
	}
	if err != nil {
		return Grant{}, err
	}
	if rehash {
		s.upgradeHash(ctx, at.account, c.Password, c.Client)
	}
	g, err := s.startSession(ctx, at.account, c.Client, c.TokenLifetime)
	if err == nil {
		s.publish(g.event(EventLogin, c.Client))
	}
	return g, err
}

// claimedAccount finds the account of a claimed name. An unknown name is not an error: no password matches its empty
// hash.
func (s *Service) claimedAccount(ctx context.Context, claimed string, c Client) (attempt, error) {
	name, err := CanonicalUsername(claimed)
	if err != nil {
		sum := sha256.Sum256([]byte(trimClaimed(claimed))) // an invalid name counts as unknown, and may be long
		return attempt{class: LimitName, key: "?" + string(sum[:]), client: c}, nil
	}
	a, err := s.accountByUsername(ctx, name)
	switch {
	case err == nil:
		return attemptOn(a, c), nil
	case KindOf(err) == KindUnknownAccount:
		return attempt{class: LimitName, key: string(name), client: c}, nil
	default:
		return attempt{}, err
	}
}

// claimedAddress is claimedAccount for an e-mail address.
func (s *Service) claimedAddress(ctx context.Context, claimed string, c Client) (attempt, error) {
	var hash []byte
	email, err := ParseEmail(claimed)
	if err != nil {
		hash = hashFields(s.state.emailKey, "no address", trimClaimed(claimed))
	} else {
		hash = EmailHash(s.state.emailKey, email)
	}
	a, err := s.accountByEmailHash(ctx, hash)
	switch {
	case err == nil:
		return attemptOn(a, c), nil
	case KindOf(err) == KindUnknownAccount:
		return attempt{class: LimitName, key: "@" + string(hash), client: c}, nil
	default:
		return attempt{}, err
	}
}

func (s *Service) upgradeHash(ctx context.Context, a Account, p Password, c Client) {
	fresh, err := s.hasher.hash(ctx, caller{addr: c.Addr, known: true}, p)
	if err == nil {
		err = exec(ctx, "swapping a hash", func(ctx context.Context) error {
			_, err := s.state.options.Accounts.SwapPasswordHash(ctx, a.ID, a.PasswordHash, fresh)
			return err
		})
	}
	if err != nil {
		s.state.options.Log.Warn("cannot upgrade a password hash; the next login tries again", "account", a.ID, "error", err)
	}
}

package authcore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Policy is what an operator decides. The zero value is not usable; start from [DefaultPolicy].
type Policy struct {
	Issuer       string // "iss" of tokens
	Audience     string // "aud" of tokens
	Registration Registering
	Conceal      bool // answers do not tell whether there is an account, see [Service.Login] and [Service.RequestReset]
	MinPassword  int  // code points

	SessionIdle time.Duration // a session ends this long after its last use; 0: never
	SessionMax  time.Duration // and this long after its login, whatever happens

	Hash HasherOptions // how passwords are hashed

	LoginRate  Rate    // attempts a client address has
	SignupRate Rate    // accounts that a client address may make
	Backoff    Backoff // how failed logins slow an account down

	Countries  []string // ISO 3166 codes of the countries whose phone numbers are accepted; none: all
	TextBudget Rate     // text messages to all numbers together
}

// Registering says who may make an account.
type Registering uint8

// Who may.
const (
	RegistrationOpen    Registering = iota // anybody
	RegistrationInvited                    // who has an invite
	RegistrationClosed                     // nobody
)

// DefaultPolicy returns the documented defaults.
func DefaultPolicy() Policy {
	return Policy{
		Issuer: "chatgate", Audience: "chatgate", MinPassword: DefaultMinPassword,
		SessionIdle: 14 * 24 * time.Hour, SessionMax: 30 * 24 * time.Hour,
		Hash:       HasherOptions{Cost: DefaultArgon2, Parallel: runtime.GOMAXPROCS(0), Queue: 16 * runtime.GOMAXPROCS(0), Wait: 5 * time.Second},
		LoginRate:  Rate{Burst: 60, Per: time.Minute},
		SignupRate: Rate{Burst: 20, Per: time.Hour},
		Backoff:    Backoff{Free: 5, Base: time.Second, Max: 15 * time.Minute},
		TextBudget: Rate{Burst: 500, Per: 24 * time.Hour},
	}
}

// Validate returns what is wrong with p, in the words of its options.
func (p Policy) Validate() error {
	switch {
	case p.Issuer == "" || p.Audience == "":
		return errors.New("issuer and audience must not be empty")
	case p.Registration > RegistrationClosed:
		return fmt.Errorf("registration %d is unknown", p.Registration)
	case p.MinPassword < 8 || p.MinPassword > 64:
		return fmt.Errorf("min_password is %d; it must be between 8 and 64", p.MinPassword)
	case p.SessionMax < time.Minute || p.SessionMax > 400*24*time.Hour:
		return fmt.Errorf("session_max is %s; it must be between 1m and 400d", p.SessionMax)
	case p.SessionIdle != 0 && p.SessionIdle < time.Minute || p.SessionIdle > p.SessionMax: // uses are seen to every 30 s
		return fmt.Errorf("session_idle is %s; it must be 0 or between 1m and session_max (%s)", p.SessionIdle, p.SessionMax)
	case p.Backoff.Free < 1 || p.Backoff.Free > 100 || p.Backoff.Base <= 0 || p.Backoff.Max < p.Backoff.Base:
		return errors.New("login_backoff needs 1 to 100 free attempts and a positive, growing delay")
	}
	if err := checkCountries(p.Countries); err != nil {
		return err
	}
	for _, r := range []Rate{p.LoginRate, p.SignupRate, p.TextBudget} {
		if r.Burst < 1 || r.Per <= 0 || r.Per/time.Duration(r.Burst) <= 0 {
			return fmt.Errorf("rate %d/%s is not usable; write it as <count>/<duration>, such as 60/1m", r.Burst, r.Per)
		}
	}
	return nil
}

// Service is every operation there is, under one policy. It is safe for concurrent use.
type Service struct {
	*State
	Hasher *Hasher
	policy Policy
	tokens *tokens
	mailer Mailer
	texter Texter
}

// NewService checks the policy. A nil mailer means that there is no mail.
func NewService(st *State, p Policy, mailer Mailer) (*Service, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.SessionMax > st.MaxTokens {
		return nil, fmt.Errorf("session_max (%s) exceeds what signing keys are kept for (%s)", p.SessionMax, st.MaxTokens)
	}
	hasher, err := NewHasher(p.Hash)
	if err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	t, err := newTokens(st.keyring, p.Issuer, p.Audience, p.SessionMax, st.Now)
	if mailer == nil {
		mailer = noMail{}
	}
	return &Service{State: st, Hasher: hasher, policy: p, tokens: t, mailer: mailer, texter: noTexts{}}, err
}

// Registration is a request for an account.
type Registration struct {
	ClaimedName   string
	Password      Password
	DisplayName   string     // optional
	ClaimedEmail  string     // optional
	NeedInvite    bool       // whatever the policy says
	Invite        InviteCode // looked at only where one is needed
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
	return s.createAccount(ctx, a, invite, r.Client)
}

// Join makes an account and begins its first session. Kinds: as those of Register. An error means that there is neither,
// unless it is Unavailable; then logging in tells.
func (s *Service) Join(ctx context.Context, r Registration) (Grant, error) {
	a, invite, err := s.prepareAccount(ctx, r)
	if err != nil {
		return Grant{}, err
	}
	// The session first: one without an account is worth nothing to anybody, an account without a session would keep its
	// owner from trying again.
	g, err := s.begin(ctx, a, r.Client, r.TokenLifetime)
	if err != nil {
		return Grant{}, err
	}
	g.Account, err = s.createAccount(ctx, a, invite, r.Client)
	if err != nil {
		err2 := tell(context.WithoutCancel(ctx), "ending a session", func(ctx context.Context) error {
			_, err := s.Sessions.EndSession(ctx, a.ID, g.Session.ID)
			return err
		})
		if err2 != nil {
			s.Log.Warn("the session of an account that was not made could not be ended; it is worth nothing", "error", err2)
		}
		return Grant{}, err
	}
	s.begun(ctx, g, r.Client)
	return g, nil
}

// prepareAccount judges a registration, and returns the account that is to be, and the hash of the invite to redeem.
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
	if r.ClaimedEmail != "" {
		email, err := ParseEmail(r.ClaimedEmail)
		if err != nil {
			return Account{}, nil, err
		}
		a.Email, a.EmailHash = string(email), EmailHash(s.emailKey, email)
	}
	if err := s.take(ctx, LimitSignup, r.Client, s.policy.SignupRate); err != nil {
		return Account{}, nil, err
	}
	// What the database decides in the end is told before the hash is paid for.
	var invite []byte
	if needInvite {
		invite = s.inviteHash(r.Invite)
		if err := s.checkInvite(ctx, invite, a.EmailHash, a.CreatedAt); err != nil {
			return Account{}, nil, err
		}
	}
	if _, err := s.accountByUsername(ctx, name); err == nil {
		return Account{}, nil, Errorf(KindUsernameTaken, "this username is taken")
	} else if KindOf(err) != KindUnknownAccount {
		return Account{}, nil, err
	}
	a.PasswordHash, err = s.Hasher.hash(ctx, r.Password)
	return a, invite, err
}

func (s *Service) createAccount(ctx context.Context, a Account, invite []byte, c Client) (Account, error) {
	a, err := ask(ctx, "creating an account", func(ctx context.Context) (Account, error) {
		return s.Accounts.CreateAccount(ctx, a, invite)
	})
	if err != nil {
		return Account{}, err
	}
	s.Log.Info("account registered", "account", a.ID, "username", a.Username, "dialect", c.Dialect, "client_ip", c.Addr)
	return a, nil
}

// Credentials are a claim to be somebody.
type Credentials struct {
	ClaimedName   string
	ClaimedEmail  string // instead of a name
	Password      Password
	TokenLifetime time.Duration // of the token; 0: the session's
	Client        Client
}

// Grant is a session that was just begun.
type Grant struct {
	Token   SignedToken
	Expires time.Time
	Account Account
	Session Session
}

// Login begins a session. Kinds: RateLimited, UnknownAccount, WrongPassword, AccountDisabled, UnverifiedPhone,
// UnverifiedEmail, Unavailable; who does not know the password gets none that tells more of an account. An unknown
// name costs as much time and as many attempts as a wrong password, and is answered like one where accounts are
// concealed.
func (s *Service) Login(ctx context.Context, c Credentials) (Grant, error) {
	g, err := s.login(ctx, c)
	if s.policy.Conceal && KindOf(err) == KindUnknownAccount {
		err = errWrongPassword
	}
	return g, err
}

var errWrongPassword = &Error{Kind: KindWrongPassword, Msg: "wrong password"}

// LoginOrJoin is Login, and makes the account if nobody has that name and anybody may make one. Kinds: those of Login
// and of Join.
func (s *Service) LoginOrJoin(ctx context.Context, c Credentials) (Grant, error) {
	if s.policy.Registration != RegistrationOpen || c.ClaimedEmail != "" {
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
		// Somebody made it meanwhile, or has a name that looks like it.
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
	if err != nil {
		return Grant{}, err
	}
	if rehash {
		s.upgradeHash(ctx, at.account, c.Password)
	}
	g, err := s.begin(ctx, at.account, c.Client, c.TokenLifetime)
	if err == nil {
		s.begun(ctx, g, c.Client)
	}
	return g, err
}

// claimedAccount finds the account of a claimed name. An unknown name is not an error: no password matches its empty
// hash.
func (s *Service) claimedAccount(ctx context.Context, claimed string, c Client) (attempt, error) {
	name, err := CanonicalUsername(claimed)
	if err != nil {
		sum := sha256.Sum256([]byte(trimClaimed(claimed))) // an impossible name is an unknown one, and may be long
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
		hash = hashFields(s.emailKey, "no address", trimClaimed(claimed))
	} else {
		hash = EmailHash(s.emailKey, email)
	}
	a, err := ask(ctx, "looking up an account", func(ctx context.Context) (Account, error) { return s.Accounts.AccountByEmailHash(ctx, hash) })
	switch {
	case err == nil:
		return attemptOn(a, c), nil
	case KindOf(err) == KindUnknownAccount:
		return attempt{class: LimitName, key: "@" + string(hash), client: c}, nil
	default:
		return attempt{}, err
	}
}

func (s *Service) accountByUsername(ctx context.Context, name Username) (Account, error) {
	return ask(ctx, "looking up an account", func(ctx context.Context) (Account, error) { return s.Accounts.AccountByUsername(ctx, name) })
}

func (s *Service) upgradeHash(ctx context.Context, a Account, p Password) {
	fresh, err := s.Hasher.hash(ctx, p)
	if err == nil {
		err = tell(ctx, "swapping a hash", func(ctx context.Context) error {
			_, err := s.Accounts.SwapPasswordHash(ctx, a.ID, a.PasswordHash, fresh)
			return err
		})
	}
	if err != nil {
		s.Log.Warn("upgrading a password hash failed; the next login tries again", "account", a.ID, "error", err)
	}
}

func (s *Service) begin(ctx context.Context, a Account, c Client, lifetime time.Duration) (Grant, error) {
	now := s.wholeNow()
	sess := Session{
		ID: SessionID(randomID(16)), Account: a.ID, CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(s.policy.SessionMax),
		IdleLimit: s.policy.SessionIdle, Generation: 1, Epoch: a.Epoch, Dialect: c.Dialect, Addr: c.Addr, UserAgent: cutUTF8(c.UserAgent, 256),
	}
	tok, expires, err := s.tokens.issue(&a, &sess, lifetime)
	if err != nil {
		return Grant{}, err
	}
	err = tell(ctx, "creating a session", func(ctx context.Context) error { return s.Sessions.CreateSession(ctx, sess) })
	if err != nil {
		return Grant{}, err
	}
	return Grant{Token: tok, Expires: expires, Account: a, Session: sess}, nil
}

// begun says that a session was begun, to whom it may concern.
func (s *Service) begun(ctx context.Context, g Grant, c Client) {
	s.Log.Info("login", "account", g.Account.ID, "session", g.Session.ID, "dialect", c.Dialect, "client_ip", c.Addr)
	s.noteDevice(ctx, g.Account, c)
}

func (s *Service) take(ctx context.Context, class LimitClass, c Client, r Rate) error {
	wait, err := ask(ctx, "counting a request", func(ctx context.Context) (time.Duration, error) {
		return s.Limits.Take(ctx, class, AddrKey(c.Addr), r)
	})
	if err != nil {
		return err
	}
	if wait > 0 {
		return rateLimited(wait)
	}
	return nil
}

func (s *Service) wholeNow() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// cutUTF8 cuts s to n bytes of valid UTF-8 without NUL, which PostgreSQL does not store.
func cutUTF8(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

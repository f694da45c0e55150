package smtptest

import (
	"io"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Stage is a command that a reply answers.
type Stage string

// The stages. Data is answered when the whole message has been read.
const (
	Hello Stage = "EHLO"
	Mail  Stage = "MAIL"
	Rcpt  Stage = "RCPT"
	Data  Stage = "DATA"
)

// Reply is an answer other than yes.
type Reply struct {
	Stage Stage
	Code  int    // 451, or 550; 0 closes the connection instead
	Text  string // "no" if it is empty
}

// Reply has the next commands answered so, each reply once and those of one stage in their order. After that it is yes
// again.
func (s *Server) Reply(replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, replies...)
}

// Hold has every command of a stage wait for its answer, until release.
func (s *Server) Hold(stage Stage) (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[stage] = hold
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.holds[stage] == hold {
			delete(s.holds, stage)
			close(hold)
		}
	}
}

// Reached returns how often a command was read.
func (s *Server) Reached(stage Stage) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reached[stage]
}

// answer says what a command is answered.
func (s *Server) answer(c *smtp.Conn, stage Stage) error {
	s.mu.Lock()
	s.reached[stage]++
	hold := s.holds[stage]
	var reply *Reply
	for i := range s.script {
		if s.script[i].Stage == stage {
			r := s.script[i]
			reply, s.script = &r, append(s.script[:i:i], s.script[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	switch {
	case reply == nil:
		return nil
	case reply.Code == 0:
		_ = c.Conn().Close()
		return io.EOF
	case reply.Text == "":
		reply.Text = "no"
	}
	return &smtp.SMTPError{Code: reply.Code, EnhancedCode: smtp.EnhancedCode{reply.Code / 100, 0, 0}, Message: reply.Text}
}

// session is what one greeting began.
type session struct {
	*Server
	conn *smtp.Conn
	user string
	now  Message
}

func (s *Server) begin(c *smtp.Conn) (smtp.Session, error) {
	if err := s.answer(c, Hello); err != nil {
		return nil, err
	}
	return &session{Server: s, conn: c}, nil
}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string {
	switch {
	case s.options.User == "":
		return nil
	case s.options.Logins != nil:
		return s.options.Logins
	default:
		return []string{sasl.Plain, sasl.Login}
	}
}

// Auth implements smtp.AuthSession.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != s.options.User || password != s.options.Password {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	default:
		return nil, smtp.ErrAuthUnknownMechanism
	}
}

// loginServer is the other side of LOGIN, which asks for the one and then for the other.
type loginServer struct {
	check func(user, password string) error
	asked int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.asked++; l.asked == 1 && response != nil {
		l.asked++ // the name came with the command
	}
	switch l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(l.user, string(response))
	}
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, secure := s.conn.TLSConnectionState()
	switch {
	case s.options.Security == StartTLS && !secure:
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "STARTTLS first"}
	case s.options.User != "" && s.user == "":
		return smtp.ErrAuthRequired
	}
	if err := s.answer(s.conn, Mail); err != nil {
		return err
	}
	s.now = Message{Hello: s.conn.Hostname(), User: s.user, TLS: secure, From: from}
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.answer(s.conn, Rcpt); err != nil {
		return err
	}
	s.now.To = append(s.now.To, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.answer(s.conn, Data); err != nil {
		return err
	}
	m := s.now
	m.Raw = raw
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.now = Message{} }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

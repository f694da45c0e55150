// Command line is a client of the line contract, of nothing but Go's standard library.
//
// usage: line HOST LINE-PORT GATE-PORT PROXIED-PORT NAME NUMBER PASSWORD DIRECTORY CA-FILE
//
// The directory has what was sent: sms/*.txt and mail/*.eml. It prints what it was answered, line by line, and panics
// where it was answered nonsense.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// connection speaks lines over TLS.
type connection struct {
	*tls.Conn
	br *bufio.Reader
}

func (c connection) send(text string) {
	_, err := io.WriteString(c, text)
	check(err)
}

func (c connection) line() string {
	s, err := c.br.ReadString('\n')
	check(err)
	return strings.TrimSuffix(s, "\n")
}

func (c connection) ask(request string) string {
	c.send(request + "\r\n")
	return c.line()
}

// end expects nothing more.
func (c connection) end() {
	rest, err := io.ReadAll(c.br)
	check(err)
	if len(rest) > 0 {
		panic(string(rest))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// sent waits for a message with a code, and returns the newest one's.
func sent(pattern, to string, code *regexp.Regexp) string {
	for range 1500 {
		files, err := filepath.Glob(pattern)
		check(err)
		slices.Sort(files)
		slices.Reverse(files)
		for _, file := range files {
			raw, err := os.ReadFile(file)
			check(err)
			if m := code.FindSubmatch(raw); m != nil && bytes.Contains(raw, []byte(to)) {
				return string(m[1])
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	panic("no message in " + pattern)
}

func main() {
	host, linePort, gatePort, proxiedPort := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	name, number, password, directory, ca := os.Args[5], os.Args[6], os.Args[7], os.Args[8], os.Args[9]
	address := name + "@example.com"
	pem, err := os.ReadFile(ca)
	check(err)
	trust := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: host}
	trust.RootCAs.AppendCertsFromPEM(pem)
	connect := func(port string) connection {
		c, err := tls.Dial("tcp", net.JoinHostPort(host, port), trust)
		check(err)
		check(c.SetDeadline(time.Now().Add(time.Minute)))
		return connection{c, bufio.NewReader(c)}
	}
	first := func(reply string) string { word, _, _ := strings.Cut(reply, " "); return word }

	account := "u:" + name + " p:" + password
	one := connect(linePort)
	fmt.Println("register", one.ask("register "+account+" n:"+number+" e:"+address))
	code := sent(filepath.Join(directory, "sms/*.txt"), "To: "+number+"\n", regexp.MustCompile(`\n([0-9]{6}) is your code `))
	mailed := sent(filepath.Join(directory, "mail/*.eml"), address, regexp.MustCompile(`(?m)^ +([0-9]{6})\r?$`))
	fmt.Println("no code", one.ask("validatephone p:"+number+" c:none"))
	fmt.Println("too early", one.ask("login "+account))
	fmt.Println("validatephone", one.ask(`validatephone p:"`+number[:3]+" "+number[3:]+`" c:`+code))
	fmt.Println("half of it", one.ask("login "+account))
	one.end()

	two := connect(linePort)
	fmt.Println("validateemail", two.ask("validateemail e:"+address+" c:"+mailed))
	fmt.Println("registered", two.ask("register "+account+" n:"+number+" e:"+address))
	fmt.Println("wrong password", two.ask("login u:"+name+" p:"+password+"!"))
	reply := two.ask("login " + account)
	words := strings.Split(reply, " ")
	if len(words) != 3 {
		panic(reply)
	}
	token := words[1]
	expires, err := time.Parse("2006-01-02T15:04:05Z", words[2])
	check(err)
	left := any(time.Until(expires))
	if d := time.Until(expires); d > 50*time.Minute && d <= time.Hour {
		left = "for an hour"
	}
	fmt.Println("login", words[0], left)
	fmt.Println("by address", first(two.ask("login u:"+address+" p:"+password)))
	fmt.Println("quoted", first(two.ask(`login u:"`+name+`" p:"`+password+`"`)))
	fmt.Println("token", two.ask("token t:"+token))
	fmt.Println("nothing", two.ask("login"))
	two.end()

	gate := connect(gatePort)
	gate.send("token t:" + token + "\nhello in the same packet\n")
	fmt.Println("gate", gate.line())
	fmt.Println("the chat got", strings.TrimSpace(gate.line()), strings.TrimSpace(gate.line()), gate.line())
	gate.send("and after it\n")
	fmt.Println("the chat got", gate.line())
	check(gate.CloseWrite())
	fmt.Println("half-closed", gate.line())
	gate.end()

	proxied := connect(proxiedPort)
	proxied.send("login " + account + "\nhello in the same packet\n")
	fmt.Println("proxied", first(proxied.line()))
	fmt.Println("the chat says", proxied.line())
	fmt.Println("the chat got", proxied.line())
	check(proxied.CloseWrite())
	fmt.Println("half-closed", proxied.line())
	proxied.end()
}

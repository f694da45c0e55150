package upstreams

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// A login page goes beside the gate in whatever way Caddy has for that, and the endpoints are still there.
func TestLoginPageBesideTheGate(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "chat", nil, false)
	dir := t.TempDir()
	for name, text := range map[string]string{"index.html": "the page", "login.html": "the page", "login/index.html": "the page"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const page, chat = "the page", "just a page" // the upstream's /ordinary
	sites := map[string]struct {
		site string
		want map[string]string // what a GET of a path shows
		open bool              // the endpoints can be called without more ado
	}{
		"handle of its path": {`handle /login* {
				root * DIR
				file_server
			}
			chatgate_accounts rooms
			chatgate_methods
			chatgate_proxy U`, map[string]string{"/login.html": page, "/login/": page, "/ordinary": chat}, true},
		"handle for all": {`chatgate_accounts rooms
			chatgate_methods
			handle /ordinary {
				chatgate_proxy U
			}
			handle {
				root * DIR
				file_server
			}`, map[string]string{"/": page, "/login.html": page, "/ordinary": chat}, true},
		"a page that routes itself": {`chatgate_accounts rooms
			chatgate_methods
			handle /ordinary {
				chatgate_proxy U
			}
			handle {
				root * DIR
				try_files {path} /index.html
				file_server
			}`, map[string]string{"/": page, "/rooms/7": page, "/ordinary": chat}, true},
		"handle_path over the endpoints": {`chatgate_accounts rooms
			chatgate_methods
			handle_path /api/* {
				root * DIR
				file_server
			}
			chatgate_proxy U`, map[string]string{"/api/login.html": page, "/ordinary": chat}, true},
		"route": {`chatgate_accounts rooms
			chatgate_methods
			route {
				root * DIR
				file_server /login*
				chatgate_proxy U
			}`, map[string]string{"/login.html": page, "/ordinary": chat}, true},
		"invoke": {`chatgate_accounts rooms
			chatgate_methods
			invoke page`, map[string]string{"/login.html": page}, true},
		"file_server": {`chatgate_accounts rooms
			chatgate_methods
			root * DIR
			chatgate_proxy /ordinary U
			file_server`, map[string]string{"/login.html": page, "/ordinary": chat}, true},
		"respond": {`chatgate_accounts rooms
			chatgate_methods
			handle /ordinary {
				chatgate_proxy U
			}
			respond "the page"`, map[string]string{"/login": page, "/ordinary": chat}, true},
		"with the rest": {`encode
			templates
			request_body {
				max_size 1MB
			}
			redir /old /login.html
			rewrite /page /login.html
			header X-Site chat
			chatgate_accounts rooms
			chatgate_methods
			handle /ordinary {
				chatgate_proxy U
			}
			handle {
				root * DIR
				file_server
			}`, map[string]string{"/login.html": page, "/page": page, "/ordinary": chat}, true},
		"the order that was written": {`route {
				chatgate_accounts rooms
				chatgate_methods
				chatgate_proxy /ordinary U
				root * DIR
				try_files {path} /index.html
				file_server
			}`, map[string]string{"/rooms/7": page, "/ordinary": chat}, true},
		"behind a password": {`basic_auth {
				visitor $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
			}
			chatgate_accounts rooms
			chatgate_methods
			handle {
				root * DIR
				file_server
			}`, nil, false},
		"behind a refusal": {`@blocked remote_ip 127.0.0.0/8
			route {
				respond @blocked 403
				chatgate_accounts rooms
				chatgate_methods
				chatgate_proxy U
			}`, nil, false},
		"behind another's check": {`forward_auth U {
				uri /forbidden
			}
			chatgate_accounts rooms
			chatgate_methods
			handle {
				root * DIR
				file_server
			}`, nil, false},
		"behind a rewrite of the prefix": {`uri strip_prefix /chat
			chatgate_accounts rooms
			handle {
				root * DIR
				file_server
			}`, map[string]string{"/chat/login.html": page}, true},
	}
	file := `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite
		signup_rate 600/1h
		hash {
			memory_kib 1024
			time 1
		}
	}
}
&(page) {
	file_server {
		root DIR
	}
}
`
	n := 0
	hosts := make(map[string]string)
	for name, s := range sites {
		hosts[name] = fmt.Sprintf("site%d.test", n)
		file += "http://" + hosts[name] + " {\n" + s.site + "\n}\n"
		n++
	}
	g := gatetest.Start(t, strings.NewReplacer("DIR", dir, "U\n", r.addr()+"\n", "U}", r.addr()+"}", " U {", " "+r.addr()+" {").Replace(file))
	send := func(t *testing.T, host, method, path string, body string, more ...string) (int, string) {
		t.Helper()
		c := gatetest.Dial(t, g.HTTP)
		defer c.Close()
		c.Send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", method, path, host, len(body), strings.Join(append(more, ""), "\r\n"), body))
		resp, answer := c.Response()
		return resp.StatusCode, answer
	}
	for name, s := range sites {
		t.Run(name, func(t *testing.T) {
			host := hosts[name]
			for path, want := range s.want {
				if status, body := send(t, host, "GET", path, ""); status != http.StatusOK || body != want {
					t.Errorf("GET %s: %d %s, want %s", path, status, body, want)
				}
			}
			user := strings.TrimSuffix(host, ".test")
			account := fmt.Sprintf(`{"username":%q,"secret":%q}`, user, password)
			for path, want := range map[string]int{"/api/v1/users": http.StatusCreated} {
				if !s.open {
					want = 0 // whatever says no
				}
				status, body := send(t, host, "POST", path, account)
				if status != want && (s.open || status < 400 || strings.Contains(body, `"status"`)) {
					t.Errorf("POST %s: %d %s", path, status, body)
				}
			}
			if status, body := send(t, host, "POST", "/api/v1/login", account); (status == http.StatusOK) != s.open {
				t.Errorf("POST /api/v1/login: %d %s", status, body)
			}
			if !strings.Contains(s.site, "chatgate_methods") {
				return
			}
			c := gatetest.Dial(t, g.HTTP)
			c.Send(gatetest.Handshake(host, "/ws"))
			if resp, body := c.Response(); (resp.StatusCode == http.StatusSwitchingProtocols) != s.open {
				t.Errorf("a handshake at /ws: %s %s", resp.Status, body)
			}
		})
	}
}

package methods

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// chat is a legacy chat: one room, where whoever says something is heard by all.
type chat struct {
	addr string

	mu      sync.Mutex
	members map[*websocket.Conn]bool
	heads   []http.Header // of the handshakes
}

const page = `<!doctype html><meta charset="utf-8"><title>legacy</title><script>
// A client that knows nothing of a gateway.
const calls = {}, events = [];
let last = 0, socket;
function call(m, d) {
	return new Promise(done => {
		const r = ++last;
		calls[r] = done;
		socket.send(JSON.stringify({m, r, d}));
	});
}
function connect() {
	return new Promise(opened => {
		socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
		socket.onopen = () => opened();
		socket.onclose = e => { window.closedWith = e.code; };
		socket.onmessage = e => {
			const msg = JSON.parse(e.data);
			if ("r" in msg) {
				calls[msg.r](msg);
				delete calls[msg.r];
			} else {
				events.push(msg);
			}
		};
	});
}
</script>`

// newChat runs the chat until the test ends. What a member gets is written in a way that no encoder writes, so that it
// shows whether it was touched.
func newChat(t testing.TB) *chat {
	ch := &chat{members: make(map[*websocket.Conn]bool)}
	var all sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(page))
			return
		}
		all.Add(1)
		defer all.Done()
		up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		ch.serve(ws, r)
	}))
	ch.addr = srv.Listener.Addr().String()
	t.Cleanup(func() {
		ch.cut()
		srv.Close()
		all.Wait()
	})
	return ch
}

func (ch *chat) serve(ws *websocket.Conn, r *http.Request) {
	defer ws.Close()
	user := r.Header.Get("Remote-User")
	ch.mu.Lock()
	ch.members[ws] = true
	ch.heads = append(ch.heads, r.Header.Clone())
	ch.mu.Unlock()
	defer func() {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		delete(ch.members, ws)
	}()
	for {
		_, msg, err := ws.ReadMessage()
		if err != nil {
			return
		}
		var req struct {
			M string          `json:"m"`
			R json.RawMessage `json:"r"`
			D struct {
				Text string `json:"text"`
			} `json:"d"`
		}
		if err := json.Unmarshal(msg, &req); err != nil {
			return
		}
		ch.mu.Lock()
		switch req.M {
		case "whoami":
			_ = ws.WriteMessage(1, []byte(`{"r": `+string(req.R)+`, "d": {"user":"`+user+`"}}`))
		case "say":
			_ = ws.WriteMessage(1, []byte(`{"r": `+string(req.R)+`, "d": {}}`))
			text, _ := json.Marshal(req.D.Text)
			for m := range ch.members {
				_ = m.WriteMessage(1, []byte(`{"e": "said", "d": {"from":"`+user+`", "text":`+string(text)+`}}`))
			}
		case "leave":
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "left"), soon())
		default:
			_ = ws.WriteMessage(1, []byte(`{"r": `+string(req.R)+`, "err": "no_such_thing"}`))
		}
		ch.mu.Unlock()
	}
}

// present returns how many members there are.
func (ch *chat) present() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return len(ch.members)
}

// head returns the header of the latest handshake, and how many there were.
func (ch *chat) head() (http.Header, int) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if len(ch.heads) == 0 {
		return nil, 0
	}
	return ch.heads[len(ch.heads)-1], len(ch.heads)
}

// cut ends every connection without a word.
func (ch *chat) cut() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for ws := range ch.members {
		_ = ws.NetConn().Close()
	}
}

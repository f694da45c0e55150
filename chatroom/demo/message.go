package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// guest is the author of a message if the gateway names nobody.
const guest = "guest"

// What a member is sent.
type (
	message struct {
		ID   int64     `json:"id"`
		From string    `json:"from"`
		Text string    `json:"text"`
		At   time.Time `json:"at"`
	}
	event struct {
		Event string `json:"event"`
		User  string `json:"user"`
	}
	failure struct {
		Error string `json:"error"`
	}
)

const (
	eventJoin = "join"
	eventPart = "part"
)

// Reasons to refuse a message. The text goes to its sender.
var (
	errReadOnly = errors.New("read-only")
	errNotText  = errors.New("a message is a text frame")
	errNotUTF8  = errors.New("a message is UTF-8")
	errNotJSON  = errors.New(`a message is a JSON object with "text", a string, and nothing else`)
	errEmpty    = errors.New("the text is empty")
)

// decode returns the text of a member's message, of at most limit bytes.
func decode(kind int, data []byte, limit int) (string, error) {
	if kind != websocket.TextMessage {
		return "", errNotText
	}
	if !utf8.Valid(data) {
		return "", errNotUTF8
	}
	text, ok := textOf(data)
	switch {
	case !ok:
		return "", errNotJSON
	case strings.TrimSpace(text) == "":
		return "", errEmpty
	case len(text) > limit:
		return "", fmt.Errorf("the text is longer than %d bytes", limit)
	}
	return text, nil
}

// textOf reads token by token, because a struct would accept "TEXT", a repeated key and trailing bytes.
func textOf(data []byte) (text string, ok bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	for _, want := range []json.Token{json.Delim('{'), "text"} {
		if t, err := d.Token(); err != nil || t != want {
			return "", false
		}
	}
	t, err := d.Token()
	if err != nil {
		return "", false
	}
	if text, ok = t.(string); !ok {
		return "", false
	}
	if t, err = d.Token(); err != nil || t != json.Delim('}') {
		return "", false
	}
	_, err = d.Token()
	return text, errors.Is(err, io.EOF)
}

// readLimit is the size of a frame whose text of limit bytes is all escapes (\u00xx for one byte), and some more. No honest
// message is longer, so a longer frame ends the socket.
func readLimit(limit int) int64 { return 6*int64(limit) + 512 }

// encode encodes one of the types above, which cannot fail.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

package demo

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		name, in, text string
		err            error
	}{
		{"valid", `{"text":"hello"}`, "hello", nil},
		{"space around", " {\n\"text\" : \"hello\" } \n", "hello", nil},
		{"escapes", `{"te\u0078t":"\u00e4\n"}`, "ä\n", nil},
		{"kept as it is", `{"text":" x "}`, " x ", nil},
		{"nothing", ``, "", errNotJSON},
		{"no object", `["text","hello"]`, "", errNotJSON},
		{"a string", `"hello"`, "", errNotJSON},
		{"no text", `{}`, "", errNotJSON},
		{"other key", `{"body":"hello"}`, "", errNotJSON},
		{"other case", `{"Text":"hello"}`, "", errNotJSON},
		{"one more key", `{"text":"hello","from":"bob"}`, "", errNotJSON},
		{"key twice", `{"text":"hello","text":"bye"}`, "", errNotJSON},
		{"number", `{"text":1}`, "", errNotJSON},
		{"null", `{"text":null}`, "", errNotJSON},
		{"object in it", `{"text":{"text":"hello"}}`, "", errNotJSON},
		{"trailing comma", `{"text":"hello",}`, "", errNotJSON},
		{"trailing bytes", `{"text":"hello"}x`, "", errNotJSON},
		{"cut off", `{"text":"hello"`, "", errNotJSON},
		{"no UTF-8", "{\"text\":\"\xc3\"}", "", errNotUTF8},
		{"empty", `{"text":""}`, "", errEmpty},
		{"white", `{"text":"\u2003\t"}`, "", errEmpty},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := decode(websocket.TextMessage, []byte(tc.in), 16)
			if text != tc.text || err != tc.err { //nolint:errorlint // the very value is meant
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"text":"hello"}`)
	f.Add(`{"text":"\u00e4","text":"b"}`)
	f.Add(`{"TEXT":"a"} `)
	f.Fuzz(func(t *testing.T, in string) {
		text, err := decode(websocket.TextMessage, []byte(in), 64)
		if err != nil {
			return
		}
		if !utf8.ValidString(text) || strings.TrimSpace(text) == "" || len(text) > 64 {
			t.Fatalf("let %q pass", text)
		}
		var m map[string]string
		if err := json.Unmarshal([]byte(in), &m); err != nil || len(m) != 1 || m["text"] != text {
			t.Fatalf("read %q, another reader has %v, %v", text, m, err)
		}
	})
}

// Every text that is short enough must fit in a frame, however its sender escapes it.
func TestReadLimitHasRoomForEscapes(t *testing.T) {
	const limit = 100
	in := `{"text":"` + strings.Repeat(`\u0041`, limit) + `"}`
	if int64(len(in)) > readLimit(limit) {
		t.Error("no room")
	}
	if _, err := decode(websocket.TextMessage, []byte(in), limit); err != nil {
		t.Error(err)
	}
}

package chatroom

import "strings"

// extensionNames returns the names in the lines of a Sec-WebSocket-Extensions header (RFC 6455, section 9.1), in lower case
// and without their parameters. An element that has none, or a string without an end, has the empty name.
func extensionNames(lines []string) []string {
	var names []string
	for _, line := range lines {
		for line != "" {
			element, rest, ok := cutElement(line)
			if line = rest; ok && textTrim(element) == "" {
				continue
			}
			name, _, _ := strings.Cut(element, ";")
			if !ok {
				name = ""
			}
			names = append(names, strings.ToLower(textTrim(name)))
		}
	}
	return names
}

// cutElement cuts a list at its first comma outside a quoted string. It returns false if a string has no end.
func cutElement(list string) (element, rest string, ok bool) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return list[:i], list[i+1:], true
		}
	}
	return list, "", !quoted
}

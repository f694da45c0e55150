package chatroom

import (
	"maps"
	"net/http"
	"testing"
)

// browserRequest is what a browser sends to open a page of a chat.
func browserRequest() http.Header {
	return http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip, deflate, br"}, "Accept-Language": {"en"}, "Cache-Control": {"no-cache"}, "Connection": {"keep-alive"},
		"Cookie": {"theme=dark"}, "Dnt": {"1"}, "Origin": {"https://chat.example.com"}, "Referer": {"https://chat.example.com/"}, "Pragma": {"no-cache"},
		"Sec-Ch-Ua": {"x"}, "Sec-Ch-Ua-Mobile": {"?0"}, "Sec-Ch-Ua-Platform": {"Linux"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"},
		"Sec-Fetch-Site": {"same-origin"}, "User-Agent": {"Mozilla/5.0"}, "X-Requested-With": {"XMLHttpRequest"}, "X-Chat-Version": {"3"}, "Content-Type": {"application/json"},
	}
}

func BenchmarkStrip(b *testing.B) {
	s, err := NewStripper(DefaultIdentityHeaders, StripRules{})
	if err != nil {
		b.Fatal(err)
	}
	for name, more := range map[string]http.Header{
		"a browser": nil,
		"a forger":  {"Remote-User": {"admin"}, "X-Forwarded-User": {"admin"}, "X-Auth-Request-Email": {"admin@example.com"}, "Forwarded": {"for=1"}},
	} {
		b.Run(name, func(b *testing.B) {
			h := browserRequest()
			b.ReportAllocs()
			for b.Loop() {
				maps.Copy(h, more)
				if ref := s.Strip(h, false); ref != nil {
					b.Fatal(ref)
				}
			}
		})
	}
}

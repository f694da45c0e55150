package proxy

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// decision is what becomes of an option of reverse_proxy where a request is a WebSocket. It is one of the three.
type decision struct {
	kept    string // the test that shows it, of the package upstreams unless it names another
	refused bool   // it does not load
	moot    string // why there is nothing to keep
}

const (
	ownRequests = "it is about requests of reverse_proxy's own"
	noPool      = "a connection with a WebSocket on it is not kept for others"
	noBody      = "a WebSocket has no body"
)

// decisions are about every option of the handler and its transport, by their names in JSON.
var decisions = map[string]decision{
	"transport":                                     {kept: "TestTLSUpstream"},
	"circuit_breaker":                               {kept: "TestRetries"}, // it is asked wherever an upstream is chosen
	"load_balancing":                                {kept: "TestRoundRobin"},
	"load_balancing.selection_policy":               {kept: "TestLeastConn"},
	"load_balancing.retries":                        {kept: "TestRetries"},
	"load_balancing.try_duration":                   {kept: "TestRetries"}, // these three are of one loop
	"load_balancing.try_interval":                   {kept: "TestRetries"},
	"load_balancing.retry_match":                    {kept: "TestRetries"},
	"health_checks":                                 {kept: "TestPassiveHealth"},
	"health_checks.active":                          {kept: "TestActiveHealth"},
	"health_checks.active.path":                     {moot: ownRequests},
	"health_checks.active.uri":                      {moot: ownRequests},
	"health_checks.active.upstream":                 {moot: ownRequests},
	"health_checks.active.port":                     {moot: ownRequests},
	"health_checks.active.headers":                  {moot: ownRequests},
	"health_checks.active.method":                   {moot: ownRequests},
	"health_checks.active.body":                     {moot: ownRequests},
	"health_checks.active.follow_redirects":         {moot: ownRequests},
	"health_checks.active.interval":                 {moot: ownRequests},
	"health_checks.active.timeout":                  {moot: ownRequests},
	"health_checks.active.passes":                   {moot: ownRequests},
	"health_checks.active.fails":                    {moot: ownRequests},
	"health_checks.active.max_size":                 {moot: ownRequests},
	"health_checks.active.expect_status":            {moot: ownRequests},
	"health_checks.active.expect_body":              {moot: ownRequests},
	"health_checks.passive":                         {kept: "TestPassiveHealth"},
	"health_checks.passive.fail_duration":           {kept: "TestPassiveHealth"},
	"health_checks.passive.max_fails":               {kept: "attack.TestUpstreamsFaultIsCounted"},
	"health_checks.passive.unhealthy_request_count": {kept: "TestUnhealthyRequestCount"},
	"health_checks.passive.unhealthy_status":        {kept: "TestUnhealthyAnswers"},
	"health_checks.passive.unhealthy_latency":       {kept: "TestUnhealthyAnswers"},
	"upstreams":              {kept: "TestRoundRobin"},
	"upstreams.dial":         {kept: "TestUnixUpstream"},
	"upstreams.max_requests": {kept: "TestUnhealthyRequestCount"},
	"dynamic_upstreams":      {kept: "TestDynamicUpstreams"},
	"flush_interval":         {moot: "frames are passed on at once"},
	"trusted_proxies":        {kept: "TestTrustedProxies"},
	"headers":                {kept: "TestHeaders"},
	"request_buffers":        {kept: "streams.TestLimitsOfRequests"},
	"response_buffers":       {kept: "streams.TestLimitsOfRequests"},
	"proxy_status_name":      {moot: noBody + ", which alone can be refused as incremental"},
	"stream_timeout":         {kept: "TestTimeouts"},
	"stream_buffer_size":     {refused: true},
	"stream_close_delay":     {refused: true},
	"rewrite":                {kept: "TestRewrite"},
	"handle_response":        {kept: "attack.TestRoutesForResponses"},
	"verbose_logs":           {moot: "what it adds is about copying a body"},

	"transport.resolver":                           {kept: "TestDialling"},
	"transport.resolver.addresses":                 {kept: "TestDialling"},
	"transport.tls":                                {kept: "TestTLSUpstream"},
	"transport.tls.ca":                             {kept: "TestDialling"},
	"transport.tls.root_ca_pool":                   {kept: "TestDialling"}, // one pool of one tls.Config, whatever fills it
	"transport.tls.root_ca_pem_files":              {kept: "TestDialling"},
	"transport.tls.client_certificate_file":        {kept: "TestDialling"},
	"transport.tls.client_certificate_key_file":    {kept: "TestDialling"},
	"transport.tls.client_certificate_automate":    {kept: "TestDialling"}, // of the same tls.Config
	"transport.tls.insecure_skip_verify":           {kept: "TestTLSUpstream"},
	"transport.tls.handshake_timeout":              {kept: "TestTimeouts"},
	"transport.tls.server_name":                    {kept: "TestDialling"},
	"transport.tls.renegotiation":                  {kept: "TestDialling"}, // of the same tls.Config
	"transport.tls.except_ports":                   {kept: "TestDialling"},
	"transport.tls.curves":                         {kept: "TestDialling"},
	"transport.keep_alive":                         {kept: "TestDialling"},
	"transport.keep_alive.enabled":                 {moot: noPool},
	"transport.keep_alive.probe_interval":          {kept: "TestDialling"}, // of the dialer that local_address is of
	"transport.keep_alive.max_idle_conns":          {moot: noPool},
	"transport.keep_alive.max_idle_conns_per_host": {moot: noPool},
	"transport.keep_alive.idle_timeout":            {moot: noPool},
	"transport.compression":                        {moot: noBody + "; what it may be compressed with is the peers' to agree on"},
	"transport.max_conns_per_host":                 {refused: true},
	"transport.proxy_protocol":                     {kept: "TestDialling"},
	"transport.forward_proxy_url":                  {kept: "TestNetworkProxy"},
	"transport.network_proxy":                      {kept: "TestNetworkProxy"},
	"transport.dial_timeout":                       {kept: "TestDialling"}, // these two are of the same dialer
	"transport.dial_fallback_delay":                {kept: "TestDialling"},
	"transport.response_header_timeout":            {kept: "TestTimeouts"},
	"transport.expect_continue_timeout":            {moot: noBody},
	"transport.max_response_header_size":           {kept: "TestMaxResponseHeader"},
	"transport.write_buffer_size":                  {moot: "a handshake is one write, and frames are written from what was read"},
	"transport.read_buffer_size":                   {moot: "the relay has buffers only while data flows, of its own sizes"},
	"transport.read_timeout":                       {kept: "TestTimeouts"},
	"transport.write_timeout":                      {kept: "TestTimeouts"},
	"transport.versions":                           {kept: "TestDialling"},
	"transport.local_address":                      {kept: "TestDialling"},
}

// TestEveryOption: no option of reverse_proxy is ignored without somebody having decided so. A new version of Caddy with a new
// option fails here until its place in decisions is found.
func TestEveryOption(t *testing.T) {
	open := make(map[string]bool)
	for name := range decisions {
		open[name] = true
	}
	for _, part := range []struct {
		prefix string
		of     any
	}{{"", reverseproxy.Handler{}}, {"transport.", reverseproxy.HTTPTransport{}}} {
		eachOption(part.prefix, reflect.TypeOf(part.of), func(name string) {
			if _, ok := decisions[name]; !ok {
				t.Errorf("nobody has decided what becomes of %s where a request is a WebSocket", name)
			}
			delete(open, name)
		})
	}
	for name := range open {
		t.Errorf("reverse_proxy has no %s", name)
	}

	tests := make(map[string][]string)
	for name, d := range decisions {
		if decided := []bool{d.kept != "", d.refused, d.moot != ""}; slices.Index(decided, true) < 0 || slices.Contains(decided[slices.Index(decided, true)+1:], true) {
			t.Errorf("%s: decide for one of the three: %+v", name, d)
		}
		if d.kept == "" {
			continue
		}
		pkg, test, ok := strings.Cut(d.kept, ".")
		if !ok {
			pkg, test = "upstreams", d.kept
		}
		if tests[pkg] == nil {
			tests[pkg] = testsOf(t, "../../internal/e2e/"+pkg)
		}
		if !slices.Contains(tests[pkg], test) {
			t.Errorf("%s: %s has no %s", name, pkg, test)
		}
	}
}

// eachOption calls f with the names in JSON of what a configuration of type typ may hold, as far as reverse_proxy itself reads it.
func eachOption(prefix string, typ reflect.Type, f func(name string)) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		f(prefix + name)
		inner := field.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == typ.PkgPath() {
			eachOption(prefix+name+".", inner, f)
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

func testsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(b), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// TestRefusedOptions: what WebSockets could not keep is refused by its name, and only where it is set.
func TestRefusedOptions(t *testing.T) {
	set := func(v any, name string) { // as JSON would
		val := reflect.ValueOf(v).Elem()
		for i := range val.NumField() {
			if tag, _, _ := strings.Cut(val.Type().Field(i).Tag.Get("json"), ","); tag == name {
				val.Field(i).SetInt(1)
				return
			}
		}
		t.Errorf("there is no %s", name)
	}
	for option, d := range decisions {
		if !d.refused {
			continue
		}
		h, tr := new(reverseproxy.Handler), new(reverseproxy.HTTPTransport)
		if name, err := refusedOption(h, tr); err != nil {
			t.Errorf("refused %s, which is not set: %v", name, err)
		}
		name, ofTransport := strings.CutPrefix(option, "transport.")
		if ofTransport {
			set(tr, name)
		} else {
			set(h, name)
		}
		got, err := refusedOption(h, tr)
		if got != name || err == nil || !strings.Contains(err.Error(), "takes no "+name+": ") {
			t.Errorf("%s: %q, %v", option, got, err)
		}
		if _, err := refusedOption(h, nil); ofTransport == (err != nil) {
			t.Errorf("%s, with another transport: %v", option, err)
		}
	}
}

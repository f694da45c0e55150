#!/usr/bin/env bash
#
# Checks everything that chatgate promises, on a Debian machine that has Go and perhaps nothing else.
#
#   ./test.sh         all of it: form, linter, tests, the release binary, and the example run with that binary
#   ./test.sh quick   form and tests only
#
# As root it installs what is missing with apt-get; as anybody else it says what to install. Nothing is left behind but
# packages, Go's and npm's caches, and one package that is unpacked into ~/.cache/chatgate-test. Once it has run to its
# end it needs no network: no step asks a registry for anything but the versions that go.mod and go.sum, here and in .ci, and
# npm's lock file name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The tools have their versions and sums in go.mod and go.sum of their own, so that this module does not depend on them.
golangci=(go tool -modfile=.ci/golangci-lint/go.mod golangci-lint)

# One line a package: its name, and the command or the file that shows it is there.
packages=(
	"chromium         chromium"
	"python3          python3"
	"nodejs           node"
	"node-ws          /usr/share/nodejs/ws/package.json"
	"npm              npm"
	"python3-aiohttp  /usr/lib/python3/dist-packages/aiohttp"
	"python3-websockets /usr/lib/python3/dist-packages/websockets"
	"postgresql       /usr/lib/postgresql/*/bin/initdb"
	"pgbouncer        /usr/sbin/pgbouncer"
	"redis-server     redis-server"
	"ngircd           /usr/sbin/ngircd"
	"inspircd         /usr/sbin/inspircd"
	"libltdl7         /usr/lib/*/libltdl.so.7" # what ircd-hybrid needs, see unpack_hybrid
	"libgnutls30      /usr/lib/*/libgnutls.so.30"
	"weechat-headless weechat-headless"
	"weechat-plugins  /usr/lib/*/weechat/plugins/fifo.so" # what drives it
	"lighttpd         /usr/sbin/lighttpd"
	"busybox          busybox" # its httpd
	"gcc              gcc" # the race detector needs cgo
	"libc6-dev        /usr/include/stdlib.h"
	"git              git"
	"curl             curl"
	"openssl          openssl"
	"ca-certificates  /etc/ssl/certs/ca-certificates.crt"
)

modules=(
	chatgate
	http.handlers.chatgate_accounts
	http.handlers.chatgate_demo_room
	http.handlers.chatgate_methods
	http.handlers.chatgate_proxy
	layer4.handlers.chatgate_line
	layer4.handlers.chatgate_tls
)

ports=(8443 8080 9000 2019) # what Caddyfile.example and Caddy's admin API listen on

export LC_ALL=C
export GOWORK=off                           # a workspace around the checkout is no part of it
build_flags="${GOFLAGS:-} -buildvcs=false"  # root in somebody else's checkout cannot ask git
export GOFLAGS="$build_flags -mod=readonly" # nothing here changes go.mod or go.sum
export GORACE="atexit_sleep_ms=0 ${GORACE:-}" # each process with the race detector in it otherwise sleeps a second at its end
export CHATGATE_TEST_STRICT=1               # a test whose server or browser is missing fails instead of skipping

# Everything is compiled twice: with the race detector, and as xcaddy compiles the release. Go's pointer checks, which come
# with the detector, are off for SQLite alone: it is translated C, full of pointers, and there they cost more than the detector.
race=(-race -gcflags=modernc.org/...=-d=checkptr=0)
plain() { CGO_ENABLED=0 GOFLAGS="$GOFLAGS -trimpath -tags=nobadger,nomysql,nopgx" "$@"; }

# These keep both processors busy by themselves, and calls in them have a second, so nothing else runs beside them.
alone=(./internal/e2e/nodes ./internal/e2e/accounts ./internal/e2e/closing)
# These wait most, so they start first. The rest follows, as many packages at once as there are processors.
slow=(./authcore/redisstore ./authcore/sqlstore ./internal/e2e/lifecycle ./internal/e2e/line)

tmp=$(mktemp -d)
gateway_pid=

# The release binary, with a home of its own, so that it finds and leaves nothing in the user's.
gateway=(env HOME="$tmp/home" XDG_DATA_HOME="$tmp/home/data" XDG_CONFIG_HOME="$tmp/home/config" "$tmp/caddy")

cleanup() {
	local status=$?
	if [[ -n $gateway_pid ]]; then
		kill -KILL "$gateway_pid" 2>/dev/null || true
		wait "$gateway_pid" 2>/dev/null || true
	fi
	if ((status)) && [[ -s $tmp/gateway.log ]]; then
		printf '\nthe log of the gateway ends with:\n' >&2
		tail -n 40 "$tmp/gateway.log" >&2
	fi
	rm -rf "$tmp"
}
trap cleanup EXIT

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

# step HEADING COMMAND... runs a step under its heading and says how long it took.
step() {
	local heading=$1 start=$SECONDS
	shift
	printf '\n=== %s\n' "$heading"
	"$@"
	printf -- '--- %s: %d s\n' "$heading" $((SECONDS - start))
}

is_there() {
	case $1 in
	/*) compgen -G "$1" >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

install_missing() {
	command -v go >/dev/null || fail "Go is not installed: see https://go.dev/dl/"

	local entry name probe missing=()
	for entry in "${packages[@]}"; do
		read -r name probe <<<"$entry"
		is_there "$probe" || missing+=("$name")
	done
	if ((${#missing[@]})); then
		printf 'missing: %s\n' "${missing[*]}"
		((EUID == 0)) || fail "install first, as root: apt-get install --no-install-recommends ${missing[*]}"
		command -v apt-get >/dev/null || fail "there is no apt-get here: install ${missing[*]} in this system's own way"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq
		apt-get install -y -qq --no-install-recommends "${missing[@]}"
	fi
	unpack_hybrid
	go version
}

# unpack_hybrid puts ircd-hybrid where tests look for it: its package cannot be installed beside that of ngIRCd.
unpack_hybrid() {
	local cache=${XDG_CACHE_HOME:-$HOME/.cache}/chatgate-test
	if [[ -x /usr/sbin/ircd-hybrid || -x $cache/ircd-hybrid/usr/sbin/ircd-hybrid ]]; then
		return
	fi
	command -v apt-get >/dev/null || fail "there is no apt-get here: install ircd-hybrid, or unpack it into $cache/ircd-hybrid"
	mkdir -p "$cache" "$tmp/hybrid"
	(
		cd "$tmp/hybrid" && { apt-get download -qq ircd-hybrid 2>/dev/null || { ((EUID == 0)) && apt-get update -qq && apt-get download -qq ircd-hybrid; }; }
	) || fail "ircd-hybrid could not be downloaded: as root, run apt-get update"
	dpkg-deb -x "$tmp"/hybrid/ircd-hybrid_*.deb "$tmp/hybrid/unpacked"
	rm -rf "$cache/ircd-hybrid"
	cp -r "$tmp/hybrid/unpacked" "$cache/ircd-hybrid"
}

# download_modules fetches what go.mod names. Until the release is built nothing else may be fetched (offline).
download_modules() {
	go mod download
	[[ ${1:-} == quick ]] && return
	local module
	for module in golangci-lint xcaddy; do
		go mod download -modfile=".ci/$module/go.mod"
	done
}

# offline COMMAND... runs what must not need a module proxy.
offline() { GOPROXY=off "$@"; }

# Whether go.mod and go.sum are tidy is TestModuleIsTidy's business.
check_form() {
	local files
	files=$("$(go env GOROOT)/bin/gofmt" -l .)
	[[ -z $files ]] || fail "not formatted by gofmt: $files"
}

# run_vet is for the quick tests: the linter's govet runs every analyzer of go vet.
run_vet() { plain go vet ./...; }

run_linter() {
	plain "${golangci[@]}" version
	plain "${golangci[@]}" config verify
	plain "${golangci[@]}" run --allow-parallel-runners # else it fails beside one in another checkout
}

# install_clients gets the WebSocket clients that Debian does not have, in the versions of the lock file.
install_clients() {
	npm ci --prefer-offline --prefix internal/e2e/closing/testdata --ignore-scripts --no-audit --no-fund
}

run_tests() {
	# All of them run this gateway. A package that is tested by itself builds its own.
	go build "${race[@]}" -o "$tmp/gateway-race" ./cmd/chatgate
	local packages
	mapfile -t packages < <(go list ./... | grep -vxFf <(go list "${alone[@]}" "${slow[@]}"))
	timed go_test_race "${slow[@]}" "${packages[@]}"
	timed go_test_race -p 1 "${alone[@]}"
}

# go vet has had its turn.
go_test_race() { CHATGATE_TEST_GATEWAY="$tmp/gateway-race" go test "${race[@]}" -vet=off -count=1 -timeout 15m "$@"; }

# timed GO TEST... notes what it says of each package.
timed() { "$@" 2>&1 | tee -a "$tmp/packages"; }

# slowest prints which packages took longest, so that whoever slows one down sees it.
slowest() {
	printf '\nthe slowest packages:\n'
	awk '$1 == "ok" && $3 ~ /^[0-9.]+s$/ { printf "%8.1f s  %s\n", $3, $2 }' "$tmp/packages" | sort -rn | head -n 5
}

# The race detector multiplies memory and time, so what a flood and ten thousand connections cost is counted without it, and
# so is the time that answers take, and what a thousand strangers take of memory. What is measured is the release.
run_counts() {
	count '^(TestLoginFlood|TestConnectionsComeAndGo)$' ./internal/e2e/lifecycle
	count 'Timing$' ./internal/e2e/accounts
	count 'Measured$' ./internal/e2e/line
}

count() { CHATGATE_TEST_GATEWAY="$tmp/caddy" plain go test -vet=off -count=1 -timeout 5m -run "$@"; }

# joined FILE prints FILE with its continued lines made whole.
joined() {
	sed -e ':a' -e '/\\$/{' -e 'N' -e 's/[[:space:]]*\\\n[[:space:]]*/ /' -e 'ba' -e '}' "$1"
}

# The command that operators are told is the one that is tested, but for where the binary goes.
build_release() {
	local command
	command=$(joined xcaddy.Dockerfile | sed -n 's/^RUN \(xcaddy build .*\)$/\1/p')
	[[ -n $command && $command != *$'\n'* ]] || fail "xcaddy.Dockerfile should have one line RUN xcaddy build …"
	if [[ -e README.md ]]; then
		[[ $(joined README.md) == *"$command"* ]] || fail "README.md does not show the command of xcaddy.Dockerfile: $command"
	fi
	printf '%s\n' "$command"

	plain go build -modfile=.ci/xcaddy/go.mod -o "$tmp/xcaddy" github.com/caddyserver/xcaddy/cmd/xcaddy
	local args
	read -ra args <<<"${command#xcaddy }"
	# The last --output wins. What the caller's environment says to xcaddy is not part of the command. In the module that it
	# makes, go.mod has to be written: the versions in it follow from those of the command and from our go.mod.
	env -u CADDY_VERSION -u XCADDY_GO_BUILD_FLAGS -u XCADDY_GO_MOD_FLAGS -u XCADDY_RACE_DETECTOR -u XCADDY_SKIP_BUILD \
		-u XCADDY_SETCAP TMPDIR="$tmp" GOFLAGS="$build_flags" "$tmp/xcaddy" "${args[@]}" --output "$tmp/caddy"
	[[ -x $tmp/caddy ]] || fail "xcaddy made no binary"
}

check_example() {
	mkdir -p "$tmp/home"
	local listed module
	listed=$("${gateway[@]}" list-modules)
	for module in "${modules[@]}"; do
		grep -qx "[[:space:]]*$module" <<<"$listed" || fail "the release binary has no module $module"
	done

	"${gateway[@]}" adapt --config Caddyfile.example --adapter caddyfile >"$tmp/example.json"
	# Caddy run by root would otherwise make this machine trust a throw-away certificate authority.
	grep -q '"install_trust":false' "$tmp/example.json" || fail "Caddyfile.example lacks the global option skip_install_trust"
	"${gateway[@]}" validate --config Caddyfile.example --adapter caddyfile
}

# request ARGS... makes one request; the body goes to $tmp/body, the status and where it redirects to are printed.
request() {
	curl --silent --insecure --noproxy '*' --max-time 10 --output "$tmp/body" --write-out '%{http_code} %{redirect_url}' "$@" || true
}

# expect WHAT WANTED GOT compares an answer with a pattern.
expect() {
	# shellcheck disable=SC2053 # the right side is a pattern
	if [[ $3 != $2 ]]; then
		printf 'the answer was: %s\n' "$(head -c 2000 "$tmp/body" 2>/dev/null)" >&2
		fail "$1: wanted $2, got $3"
	fi
	printf 'ok: %s\n' "$1"
}

smoke_test() {
	local port
	for port in "${ports[@]}"; do
		if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			fail "port $port is in use on this machine; the example needs ${ports[*]}"
		fi
	done

	# Started where nothing is, in case the example writes below its working directory.
	(cd "$tmp/home" && exec "${gateway[@]}" run --config "$OLDPWD/Caddyfile.example" --adapter caddyfile) >"$tmp/gateway.log" 2>&1 &
	gateway_pid=$!
	await_gateway

	local base=https://localhost:8443 account='{"username":"smoke","secret":"Lantern-Quarry-Ostrich-71"}'
	expect "the page is there" "200 " "$(request $base/)"
	grep -qi '<!doctype html' "$tmp/body" || fail "$base/ is no page"
	expect "an account can be made" "201 " "$(request --json "$account" $base/api/v1/users)"
	expect "it can log in" "200 " "$(request --json "$account" $base/api/v1/login)"
	grep -q '"token"' "$tmp/body" || fail "the login gave no token"
	expect "plain http is sent to https" "30[1278] https://localhost:8443/*" "$(request http://localhost:8080/)"

	stop_gateway
}

# await_gateway waits until the site answers: certificates are issued after the start.
await_gateway() {
	local deadline=$((SECONDS + 30)) status=
	until [[ $status == 200* ]]; do
		kill -0 "$gateway_pid" 2>/dev/null || fail "the gateway ended by itself"
		((SECONDS < deadline)) || fail "the gateway does not answer on port 8443; last: $status"
		sleep 0.2
		status=$(request https://localhost:8443/)
	done
}

# stop_gateway asks the gateway to end, as a service manager does.
stop_gateway() {
	local deadline=$((SECONDS + 15)) status=0
	kill -TERM "$gateway_pid"
	while kill -0 "$gateway_pid" 2>/dev/null; do
		((SECONDS < deadline)) || fail "the gateway still runs 15 s after SIGTERM"
		sleep 0.1
	done
	wait "$gateway_pid" || status=$?
	gateway_pid=
	((status == 0)) || fail "the gateway ended with exit code $status after SIGTERM"
	printf 'ok: it ends on SIGTERM\n'
}

case ${1:-all} in
all)
	step "what is installed" install_missing
	step "modules: go mod download" download_modules
	step "WebSocket clients: npm ci" install_clients
	step "form: gofmt" offline check_form
	step "linter: golangci-lint" offline run_linter
	step "tests: go test -race" offline run_tests
	step "release binary: xcaddy" build_release
	step "tests that measure the release: go test" offline run_counts
	step "Caddyfile.example: adapt and validate" check_example
	step "Caddyfile.example: run" smoke_test
	;;
quick)
	step "what is installed" install_missing
	step "modules: go mod download" download_modules quick
	step "WebSocket clients: npm ci" install_clients
	step "form: gofmt" offline check_form
	step "form: go vet" offline run_vet
	step "tests: go test -race" offline run_tests
	;;
*)
	printf 'usage: %s [quick]\n' "$0" >&2
	exit 2
	;;
esac

slowest
printf '\nall checks passed (%d s)\n' "$SECONDS"

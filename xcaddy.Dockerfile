# chatgate in a container:
#
#   docker build -f xcaddy.Dockerfile -t chatgate .
#   docker run -p 8080:8080 -p 8443:8443 -p 8443:8443/udp -v chatgate_data:/data -v chatgate_config:/config chatgate
#
# It serves Caddyfile.example until a Caddyfile is mounted at /etc/caddy/Caddyfile.

FROM caddy:2.11.9-builder AS builder

# The image's Go may be older than the one that go.mod asks for; auto lets it fetch that one.
ENV GOTOOLCHAIN=auto

# The builder image gives its binaries cap_net_bind_service. The ports below are above 1024, and a binary with file
# capabilities does not start where the container may have none (--cap-drop=ALL).
ENV XCADDY_SETCAP=0

COPY . /src
WORKDIR /src

# The same command as in README.md; test.sh compares them and runs it. xcaddy wants a version beside a local path; v0.0.0
# stands for "this checkout". XCADDY_GO_BUILD_FLAGS stays unset on purpose: xcaddy then strips the binary (-ldflags '-w -s'
# -trimpath) and leaves out database drivers that Caddy's certificate authority would bring along.
RUN xcaddy build v2.11.9 --with github.com/chatgate/chatgate@v0.0.0=. --with github.com/mholt/caddy-l4@v0.1.2 --output caddy


FROM caddy:2.11.9

COPY --from=builder /src/caddy /usr/bin/caddy
COPY Caddyfile.example /etc/caddy/Caddyfile

# A number, so that an orchestrator can see that it is not root. Named volumes take over the owner of these directories;
# give a directory mounted from the host to this user first. (Docker before 23 needs DOCKER_BUILDKIT=1: its old builder
# forgets what is changed in a volume of the base image.)
ARG UID=10001
RUN mkdir -p /data/caddy /config/caddy && chown -R ${UID}:${UID} /data /config
USER ${UID}:${UID}

# /data has the accounts, signing keys and certificates: keep it. /config has the last configuration as JSON.
VOLUME /data /config
WORKDIR /data

# Redirects to https, https, and HTTP/3.
EXPOSE 8080 8443 8443/udp

# The admin API answers while a configuration is loaded. It listens on the container's loopback only. The address is a
# number because busybox tries only the first address of "localhost". With another admin address, or `admin off`, give
# `docker run` a --health-cmd of its own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
	CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:2019/config/"]

# docker stop sends SIGTERM, which lets live connections drain first; give it time (--stop-timeout).
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]

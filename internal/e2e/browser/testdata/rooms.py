"""A client of the rooms contract, of nothing but Python's standard library.

usage: rooms.py BASE-URL NAME SECRET CA-FILE

It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import urllib.error
import urllib.parse
import urllib.request

base, name, secret, ca = sys.argv[1:]
host, port = urllib.parse.urlsplit(base).hostname, urllib.parse.urlsplit(base).port
trust = ssl.create_default_context(cafile=ca)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))


def call(path, body=None, token=None):
    """Posts JSON, and returns the status and the envelope."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    data = json.dumps(body).encode() if body is not None else b""
    request = urllib.request.Request(base + "/api/v1/" + path, data, headers, method="POST")
    try:
        with opener.open(request, timeout=60) as response:
            status, reply = response.status, json.load(response)
    except urllib.error.HTTPError as response:
        status, reply = response.code, json.load(response)
    assert set(reply) == {"error", "data"}, reply
    return status, reply


class WebSocket:
    """A WebSocket of RFC 6455, as far as a chat needs it."""

    def __init__(self, path, protocols):
        raw = socket.create_connection((host, port), timeout=60)
        self.sock = trust.wrap_socket(raw, server_hostname=host)
        self.stream = self.sock.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            (
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                f"Sec-WebSocket-Protocol: {', '.join(protocols)}\r\n\r\n"
            ).encode()
        )
        self.status = int(self.stream.readline().split()[1])
        headers = {}
        while (line := self.stream.readline().decode().strip()) != "":
            field, _, value = line.partition(":")
            headers[field.lower()] = value.strip()
        self.protocol = headers.get("sec-websocket-protocol")
        if self.status == 101:
            want = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert headers["sec-websocket-accept"] == base64.b64encode(want).decode(), headers
        else:
            self.body = json.loads(self.stream.read(int(headers["content-length"])))

    def send(self, opcode, payload):
        assert len(payload) < 126
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.sock.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def receive(self):
        """Returns the next message or close frame; answers pings."""
        while True:
            first, second = self.stream.read(2)
            assert first & 0xF0 == 0x80, "one frame a message, and no extensions"
            assert second & 0x80 == 0, "a server does not mask"
            length = second
            if length == 126:
                (length,) = struct.unpack("!H", self.stream.read(2))
            payload = self.stream.read(length)
            opcode = first & 0x0F
            if opcode == 9:
                self.send(10, payload)
            elif opcode != 10:
                return opcode, payload

    def message(self):
        opcode, payload = self.receive()
        assert opcode == 1, (opcode, payload)
        return json.loads(payload)

    def closed(self):
        """Reads until the close frame, answers it, and returns its code."""
        while True:
            opcode, payload = self.receive()
            if opcode == 8:
                self.send(8, payload[:2])
                assert self.stream.read() == b"", "nothing follows a close frame"
                return struct.unpack("!H", payload[:2])[0]


def say(*words):
    print(*words, flush=True)


room = f"/api/v1/rooms/{name}/messages/ws"
account = {"username": name, "secret": secret}

status, reply = call("users", account)
say("register", status, reply["data"]["username"])
status, reply = call("users", account)
say("register again", status, reply["error"]["type"], reply["error"]["Type"])
status, reply = call("login", {**account, "secret": secret + "!"})
say("wrong secret", status, reply["error"]["type"])
status, reply = call("login", account)
token = reply["data"]["token"]
say("login", status, reply["data"]["user"]["username"])

ws = WebSocket(room, [token, "chat.v1"])
say("handshake", ws.status, ws.protocol)
ws.send(1, json.dumps({"text": "hello"}).encode())
while "text" not in (got := ws.message()):
    pass  # who comes and goes
say("message", got["from"], got["text"])

status, reply = call("logout", token=token)
say("logout", status, json.dumps(reply["data"]))
say("closed", ws.closed())

refused = WebSocket(room, [token])
say("handshake", refused.status, refused.body["error"]["type"])

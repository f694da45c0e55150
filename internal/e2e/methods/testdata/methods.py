"""A client of the methods contract, of nothing but Python's standard library.

usage: methods.py URL NAME PASSWORD

It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
"""

import base64
import collections
import hashlib
import json
import os
import socket
import struct
import sys
import urllib.parse

url, username, password = sys.argv[1:]
where = urllib.parse.urlsplit(url)


class Connection:
    """A WebSocket of RFC 6455, as far as the methods need it, that calls them."""

    def __init__(self):
        self.sock = socket.create_connection((where.hostname, where.port), timeout=60)
        self.stream = self.sock.makefile("rb")
        self.last = 0
        self.events = collections.deque()
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            (
                f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            ).encode()
        )
        status = self.stream.readline().split()[1]
        assert status == b"101", status
        headers = {}
        while (line := self.stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert headers["sec-websocket-accept"] == base64.b64encode(accept).decode(), headers

    def send(self, opcode, payload):
        mask = os.urandom(4)
        head = bytes([0x80 | opcode])
        if len(payload) < 126:
            head += bytes([0x80 | len(payload)])
        else:
            head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
        self.sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def frame(self):
        first, second = self.stream.read(2)
        assert first & 0x70 == 0 and second & 0x80 == 0, (first, second)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.stream.read(2))
        return first & 0x0F, self.stream.read(size)

    def message(self):
        while True:
            opcode, payload = self.frame()
            if opcode == 9:
                self.send(10, payload)
                continue
            assert opcode == 1, (opcode, payload)
            return json.loads(payload)

    def call(self, method, arguments=None):
        self.last += 1
        request = {"m": method, "r": self.last}
        if arguments is not None:
            request["d"] = arguments
        self.send(1, json.dumps(request).encode())
        while True:
            message = self.message()
            if "r" not in message:
                self.events.append(message)
                continue
            assert message["r"] == self.last and ("d" in message) != ("err" in message), message
            return message

    def event(self):
        return self.events.popleft() if self.events else self.message()

    def close(self):
        self.send(8, struct.pack("!H", 1000))
        opcode, payload = self.frame()
        assert opcode == 8, (opcode, payload)
        return struct.unpack("!H", payload[:2])[0]


def brief(message):
    if "err" in message:
        return message["err"]
    return "token" if "token" in message["d"] else compact(message["d"])


def compact(value):
    return json.dumps(value, separators=(",", ":"))


who = {"username": username, "password": password}
first, second = Connection(), Connection()

print("before", brief(first.call("whoami")))
token = first.call("user_register", who)["d"]["token"]
print("whoami", brief(first.call("whoami")))
print("register again", brief(second.call("user_register", who)))
print("wrong password", brief(second.call("user_login", {**who, "password": password + "x"})))
print("token", brief(second.call("user_token_auth", {"token": token})))
print("whoami", brief(second.call("whoami")))
print("many", str(all(second.call("whoami")["d"]["user"] == username for _ in range(12))).lower())
print("logout", brief(first.call("user_logout")))
print("event", compact(second.event()))
print("after", brief(second.call("whoami")))
print("old token", brief(second.call("user_token_auth", {"token": token})))
print("login", brief(first.call("user_login", who)), brief(second.call("user_login", who)))
print("logout all", brief(second.call("user_logout_all")))
print("event", compact(first.event()))
print("unknown", brief(first.call("user_dance")))
print("closed", first.close(), second.close())

"""A client of the line contract, of nothing but Python's standard library.

usage: line.py HOST LINE-PORT GATE-PORT PROXIED-PORT NAME NUMBER PASSWORD DIRECTORY CA-FILE

The directory has what was sent: sms/*.txt and mail/*.eml. It prints what it was answered, line by line, and fails with an
exception where it was answered nonsense.
"""

import email.policy
import pathlib
import re
import socket
import ssl
import sys
import time

host, line_port, gate_port, proxied_port, name, number, password, directory, ca = sys.argv[1:]
address = name + "@example.com"
trust = ssl.create_default_context(cafile=ca)


class Connection:
    """Speaks lines over TLS. What a socket of the ssl module cannot do is half-close, so the bytes are carried here."""

    def __init__(self, port):
        self.tcp = socket.create_connection((host, int(port)), timeout=60)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trust.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.left = b""
        self.carry(self.tls.do_handshake)

    def carry(self, step, *arguments):
        """Takes a step, which may need bytes of the other side."""
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                more = self.tcp.recv(65536)
                if more:
                    self.incoming.write(more)
                else:
                    self.incoming.write_eof()
            finally:
                self.flush()

    def flush(self):
        self.tcp.sendall(self.outgoing.read())

    def send(self, text):
        self.carry(self.tls.write, text.encode())

    def line(self):
        while b"\n" not in self.left:
            more = self.carry(self.tls.read, 4096)
            assert more, "the end, after %r" % self.left
            self.left += more
        line, self.left = self.left.split(b"\n", 1)
        return line.decode()

    def ask(self, request):
        self.send(request + "\r\n")
        return self.line()

    def say_no_more(self):
        """Sends a close_notify, and waits for none."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            self.flush()

    def end(self):
        """Expects nothing more than a close_notify, without which there might have been more."""
        try:
            rest = self.carry(self.tls.read, 4096)
        except ssl.SSLZeroReturnError:  # which is how the module tells of it
            rest = b""
        assert self.left + rest == b"", (self.left, rest)


def sent(pattern, text_of):
    """Waits for a message with a code, and returns the newest one's."""
    for _ in range(1500):
        for file in sorted(pathlib.Path(directory).glob(pattern), reverse=True):
            code = text_of(file)
            if code:
                return code
        time.sleep(0.02)
    raise AssertionError("no message in " + pattern)


def text_message(file):
    found = re.fullmatch(r"To: (\S+)\n\n(\d{6}) is your code .*\n", file.read_text(), re.S)
    return found and found.group(1) == number and found.group(2)


def mail(file):
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    found = re.search(r"^ +(\d{6})\r?$", message.get_body(("plain",)).get_content(), re.M)
    return found and message["To"].addresses[0].addr_spec == address and found.group(1)


def say(*words):
    print(*words, flush=True)


account = f"u:{name} p:{password}"
one = Connection(line_port)
say("register", one.ask(f"register {account} n:{number} e:{address}"))
code, mailed = sent("sms/*.txt", text_message), sent("mail/*.eml", mail)
say("no code", one.ask(f"validatephone p:{number} c:none"))
say("too early", one.ask(f"login {account}"))
say("validatephone", one.ask(f'validatephone p:"{number[:3]} {number[3:]}" c:{code}'))
say("half of it", one.ask(f"login {account}"))
one.end()

two = Connection(line_port)
say("validateemail", two.ask(f"validateemail e:{address} c:{mailed}"))
say("registered", two.ask(f"register {account} n:{number} e:{address}"))
say("wrong password", two.ask(f"login u:{name} p:{password}!"))
reply = two.ask(f"login {account}")
word, token, expires = reply.split(" ")
assert word == "ok" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", expires), reply
left = time.mktime(time.strptime(expires, "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())
say("login", word, "for an hour" if 3000 < left <= 3601 else left)
say("by address", two.ask(f"login u:{address} p:{password}").split(" ")[0])
say("quoted", two.ask(f'login u:"{name}" p:"{password}"').split(" ")[0])
say("token", two.ask(f"token t:{token}"))
say("nothing", two.ask("login"))
two.end()

gate = Connection(gate_port)
gate.send(f"token t:{token}\nhello in the same packet\n")
say("gate", gate.line())
say("the chat got", gate.line().strip(), gate.line().strip(), gate.line())
gate.send("and after it\n")
say("the chat got", gate.line())
gate.say_no_more()
say("half-closed", gate.line())
gate.end()

proxied = Connection(proxied_port)
proxied.send(f"login {account}\nhello in the same packet\n")
say("proxied", proxied.line().split(" ")[0])
say("the chat says", proxied.line())
say("the chat got", proxied.line())
proxied.say_no_more()
say("half-closed", proxied.line())
proxied.end()

"""A client of the auth contract, of nothing but Python's standard library, in the manner of the library whose snippets
are in the contract.

usage: auth.py BASE-URL NAME PASSWORD INVITE CA-FILE

It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
"""

import json
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

base, name, password, invite, ca = sys.argv[1:]
trust = ssl.create_default_context(cafile=ca)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))


class ApiError(Exception):
    def __init__(self, status, body):
        assert list(body) == ["error", "message"], body
        assert re.fullmatch("[a-z_]+", body["error"]), body
        super().__init__(f"{status} {body['error']}")


class Client:
    token = None
    status = 0

    def call(self, method, path, body=None):
        headers = {}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(base + "/api/auth/" + path, data, headers, method=method)
        try:
            with opener.open(request, timeout=60) as response:
                self.status, text = response.status, response.read()
        except urllib.error.HTTPError as response:
            raise ApiError(response.code, json.load(response)) from None
        if self.status == 204:
            assert text == b"", text
            return None
        return json.loads(text)

    def register(self, email, password, username, invite_code=None):
        fields = {"email": email, "password": password, "username": username}
        if invite_code is not None:
            fields["inviteCode"] = invite_code
        return self.call("POST", "register", fields)

    def login(self, email, password):
        return self.call("POST", "login", {"email": email, "password": password})

    def get_me(self):
        return self.call("GET", "me")

    def update_profile(self, **fields):
        wire = {"display_name": "displayName", "avatar_url": "avatarUrl", "is_bot": "isBot"}
        return self.call("PATCH", "me", {wire[k]: v for k, v in fields.items()})

    def get_user_profile(self, user_id):
        return self.call("GET", "users/" + urllib.parse.quote(user_id, safe=""))

    def refresh_token(self):
        return self.call("POST", "refresh")

    def disconnect(self):
        return self.call("POST", "disconnect")

    def sessions(self):
        return self.call("GET", "sessions")

    def end_session(self, session_id):
        return self.call("DELETE", "sessions/" + session_id)

    def logout(self):
        return self.call("POST", "logout")


def say(*words):
    print(*[json.dumps(w).strip('"') for w in words], flush=True)


def failing(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ApiError as err:
        return str(err)
    raise AssertionError("it succeeded")


email = name + "@example.com"
client = Client()

result = client.register(email=email, password=password, username=name, invite_code=invite)
assert list(result) == ["token", "user"], result
token, user = result["token"], result["user"]
assert list(user) == ["id", "username", "displayName", "avatarUrl", "isBot"], user
say("register", client.status, user["username"], user["displayName"], user["avatarUrl"], user["isBot"])
say("register again", failing(client.register, "2" + email, password, name, invite))
say("without an invite", failing(client.register, "2" + email, password, name + "2"))
say("wrong password", failing(client.login, email, password + "!"))
say("unknown address", failing(client.login, "no" + email, password))

result = client.login(email=email, password=password)
assert result["user"] == user and result["token"] != token
client.token = result["token"]
say("login", client.status, result["user"]["username"])

me = client.get_me()
assert me == user
say("me", client.status, me["username"], me["avatarUrl"])
updated = client.update_profile(display_name="New Name", avatar_url="https://example.com/avatar.png")
say("updated", client.status, updated["displayName"], updated["avatarUrl"])
updated = client.update_profile(display_name="Other Name")
say("name alone", client.status, updated["displayName"], updated["avatarUrl"])
updated = client.update_profile(avatar_url=None)
say("no avatar", client.status, updated["displayName"], updated["avatarUrl"])
say("unknown field", failing(client.update_profile, display_name="X", is_bot=True))
profile = client.get_user_profile(user["id"])
say("profile", client.status, profile["username"], profile["displayName"])
say("nobody", failing(client.get_user_profile, "00000000-0000-4000-8000-000000000000"))

fresh = client.refresh_token()
assert list(fresh) == ["token"], fresh
say("refresh", client.status, "the same" if fresh["token"] == client.token else "another")
client.get_me()
before = client.status
client.token = fresh["token"]
client.get_me()
say("both are good", before, client.status)

sessions = client.sessions()
say("sessions", client.status, len(sessions), sum(s["current"] for s in sessions))
client.disconnect()
say("disconnect", client.status)
client.end_session(next(s["id"] for s in sessions if not s["current"]))
say("end the other", client.status)
other = Client()
other.token = token
say("the other is over", failing(other.get_me))
client.logout()
say("logout", client.status)
say("over", failing(client.get_me))

"""A client of the users contract, of nothing but Python's standard library. It sends forms, and keeps cookies.

usage: users.py BASE-URL NAME PASSWORD MAIL-DIRECTORY CA-FILE

It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
"""

import email.policy
import http.cookiejar
import json
import pathlib
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

base, username, password, mail, ca = sys.argv[1:]
address = username + "@example.com"
trust = ssl.create_default_context(cafile=ca)


def browser():
    """Returns an opener with cookies of its own, and those."""
    jar = http.cookiejar.CookieJar()
    return jar, urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=trust),
        urllib.request.HTTPCookieProcessor(jar),
    )


jar, cookies = browser()
_, bare = browser()


def call(path, form=None, opener=bare, token=None):
    """Posts a form, or gets, and returns the status, whether it succeeded, and the message."""
    request = urllib.request.Request(base + "/users/" + path)
    if form is not None:
        request.data = urllib.parse.urlencode(form).encode()
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with opener.open(request, timeout=60) as response:
            status, reply = response.status, json.load(response)
    except urllib.error.HTTPError as response:
        status, reply = response.code, json.load(response)
    assert list(reply) == ["success", "data"] and list(reply["data"]) == ["message"], reply
    return status, reply["success"], reply["data"]["message"]


def say(what, answer, *more):
    status, success, message = answer
    words = [message] if isinstance(message, str) else []
    print(what, status, json.dumps(success), *words, *more, flush=True)


def newest_code():
    """Reads the code of the newest message to this user."""
    code = None
    for file in sorted(pathlib.Path(mail).glob("*.eml")):
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        found = re.search(r"^ +(\d{6})\r?$", message.get_body(("plain",)).get_content(), re.M)
        if message["To"].addresses[0].addr_spec == address and found:
            code = found.group(1)
    assert code, "no message with a code"
    return code


account = {"username": username, "password": password}
say("register", call("register", {**account, "email": address}))
say("register again", call("register", account))

login = call("login", account, cookies)
assert list(login[2]) == ["userhash", "ssid"], login
userhash, ssid = login[2]["userhash"], login[2]["ssid"]
assert re.fullmatch("[0-9a-f]{64}", userhash)
(cookie,) = jar
assert (cookie.name, cookie.value, cookie.path, cookie.secure) == ("ssid", ssid, "/", True), cookie
assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "Lax"
say("login", login)
say("wrong password", call("login", {**account, "password": password + "!"}))
say("nobody", call("login", {**account, "username": username + "-nobody"}))

info = call("info", opener=cookies)
assert info[2]["userhash"] == userhash and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", info[2]["created"]), info
say("info by cookie", info, info[2]["username"], info[2]["email"])
info = call("info", token=ssid)
say("info by header", info, info[2]["username"], info[2]["email"])
say("info by nothing", call("info"))
say("no method", call("login"))
say("nothing", call("login", {}))

pending = call("requestotp", {"username": username})
assert list(pending[2]) == ["userhash", "reqid"] and pending[2]["userhash"] == userhash, pending
reqid = pending[2]["reqid"]
say("requestotp", pending)
say("requestotp of nobody", call("requestotp", {"username": username + "-nobody"}))

fresh = password + "-and-more"
change = {"userhash": userhash, "reqid": reqid, "password": fresh}
say("wrong code", call("modifypassword", {**change, "OTP": "wrong"}))
change["OTP"] = newest_code()
modified = call("modifypassword", change)
assert modified[2] == {"userhash": userhash, "reqid": reqid}, modified
say("modifypassword", modified)
say("used code", call("modifypassword", change))
say("old password", call("login", account))
say("old session", call("info", opener=cookies))
again = call("login", {**account, "password": fresh}, cookies)
assert again[2]["userhash"] == userhash
say("new password", again)

// A client of the users contract, of nothing but what Node brings along. It sends JSON.
//
// usage: NODE_EXTRA_CA_CERTS=CA-FILE node users.mjs BASE-URL NAME PASSWORD MAIL-DIRECTORY
//
// It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [base, username, password, mail] = process.argv.slice(2);
const email = `${username}@example.com`;

async function call(method, path, body, headers = {}) {
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(`${base}/users/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const reply = await response.json();
  assert.deepEqual(Object.keys(reply), ["success", "data"]);
  assert.deepEqual(Object.keys(reply.data), ["message"]);
  return { status: response.status, success: reply.success, message: reply.data.message, cookies: response.headers.getSetCookie() };
}

const post = (path, body) => call("POST", path, body);
const say = (what, { status, success, message }, ...more) =>
  console.log([what, status, success, ...(typeof message === "string" ? [message] : []), ...more].join(" "));

// newestCode reads the code of the newest message to this user.
function newestCode() {
  const texts = readdirSync(mail).filter((f) => f.endsWith(".eml")).sort().map((f) => readFileSync(join(mail, f), "utf8"));
  const mine = texts.filter((text) => text.includes(email) && /^ +\d{6}\r?$/m.test(text));
  return /^ +(\d{6})\r?$/m.exec(mine.at(-1))[1];
}

say("register", await post("register", { username, password, email }));
say("register again", await post("register", { username, password }));

const login = await post("login", { username, password });
assert.deepEqual(Object.keys(login.message), ["userhash", "ssid"]);
const { userhash, ssid } = login.message;
assert.match(userhash, /^[0-9a-f]{64}$/);
assert.equal(login.cookies.length, 1);
const [pair, ...attributes] = login.cookies[0].split("; ");
assert.equal(pair, `ssid=${ssid}`);
assert.deepEqual(attributes.filter((a) => !a.startsWith("Max-Age=")).sort(), ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
say("login", login);
say("wrong password", await post("login", { username, password: `${password}!` }));
say("nobody", await post("login", { username: `${username}-nobody`, password }));

let info = await call("GET", "info", undefined, { Cookie: pair });
assert.equal(info.message.userhash, userhash);
assert(Math.abs(Date.parse(info.message.created) - Date.now()) < 3600e3);
say("info by cookie", info, info.message.username, info.message.email);
info = await call("GET", "info", undefined, { Authorization: `Bearer ${ssid}` });
say("info by header", info, info.message.username, info.message.email);
say("info by nothing", await call("GET", "info"));
say("no method", await call("GET", "login"));
say("nothing", await post("login", {}));

const pending = await post("requestotp", { username });
assert.deepEqual(Object.keys(pending.message), ["userhash", "reqid"]);
assert.equal(pending.message.userhash, userhash);
const { reqid } = pending.message;
say("requestotp", pending);
say("requestotp of nobody", await post("requestotp", { username: `${username}-nobody` }));

const fresh = `${password}-and-more`;
say("wrong code", await post("modifypassword", { userhash, OTP: "wrong", reqid, password: fresh }));
const OTP = newestCode();
const modified = await post("modifypassword", { userhash, OTP, reqid, password: fresh });
assert.deepEqual(modified.message, { userhash, reqid });
say("modifypassword", modified);
say("used code", await post("modifypassword", { userhash, OTP, reqid, password }));
say("old password", await post("login", { username, password }));
say("old session", await call("GET", "info", undefined, { Authorization: `Bearer ${ssid}` }));
const again = await post("login", { username, password: fresh });
assert.equal(again.message.userhash, userhash);
say("new password", again);

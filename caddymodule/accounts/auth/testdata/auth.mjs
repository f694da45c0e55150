// A client of the auth contract, of nothing but what Node brings along, in the manner of the library whose snippets are
// in the contract.
//
// usage: NODE_EXTRA_CA_CERTS=CA-FILE node auth.mjs BASE-URL NAME PASSWORD INVITE
//
// It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
import assert from "node:assert/strict";

const [base, name, password, inviteCode] = process.argv.slice(2);

class ApiError extends Error {
  constructor(status, body) {
    assert.deepEqual(Object.keys(body), ["error", "message"]);
    assert.match(body.error, /^[a-z_]+$/);
    super(`${status} ${body.error}`);
  }
}

class Client {
  async #call(method, path, body) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body) headers["Content-Type"] = "application/json";
    const response = await fetch(`${base}/api/auth/${path}`, { method, headers, body: body && JSON.stringify(body) });
    this.status = response.status;
    const text = await response.text();
    if (response.status === 204) return assert.equal(text, "");
    const reply = JSON.parse(text);
    if (!response.ok) throw new ApiError(response.status, reply);
    return reply;
  }

  register(fields) { return this.#call("POST", "register", fields); }
  login(fields) { return this.#call("POST", "login", fields); }
  getMe() { return this.#call("GET", "me"); }
  updateProfile(fields) { return this.#call("PATCH", "me", fields); }
  getUserProfile(id) { return this.#call("GET", `users/${encodeURIComponent(id)}`); }
  refreshToken() { return this.#call("POST", "refresh"); }
  disconnect() { return this.#call("POST", "disconnect"); }
  sessions() { return this.#call("GET", "sessions"); }
  endSession(id) { return this.#call("DELETE", `sessions/${id}`); }
  logout() { return this.#call("POST", "logout"); }
}

const say = (...words) => console.log(words.map(String).join(" "));
const failing = (promise) => promise.then(() => assert.fail("it succeeded"), (err) => {
  if (!(err instanceof ApiError)) throw err;
  return err.message;
});
const isUser = (user) => assert.deepEqual(Object.keys(user), ["id", "username", "displayName", "avatarUrl", "isBot"]);

const email = `${name}@example.com`;
const fields = { email, password, username: name, inviteCode };
const client = new Client();

const { token, user } = await client.register(fields);
isUser(user);
assert.match(user.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
say("register", client.status, user.username, user.displayName, user.avatarUrl, user.isBot);
say("register again", await failing(client.register({ ...fields, email: `2${email}` })));
say("without an invite", await failing(client.register({ ...fields, username: `${name}2`, email: `2${email}`, inviteCode: undefined })));
say("wrong password", await failing(client.login({ email, password: `${password}!` })));
say("unknown address", await failing(client.login({ email: `no${email}`, password })));

const login = await client.login({ email, password });
assert.deepEqual(login.user, user);
assert.notEqual(login.token, token);
client.token = login.token;
say("login", client.status, login.user.username);

const me = await client.getMe();
assert.deepEqual(me, user);
say("me", client.status, me.username, me.avatarUrl);
let updated = await client.updateProfile({ displayName: "New Name", avatarUrl: "https://example.com/avatar.png" });
say("updated", client.status, updated.displayName, updated.avatarUrl);
updated = await client.updateProfile({ displayName: "Other Name" });
say("name alone", client.status, updated.displayName, updated.avatarUrl);
updated = await client.updateProfile({ avatarUrl: null });
say("no avatar", client.status, updated.displayName, updated.avatarUrl);
say("unknown field", await failing(client.updateProfile({ displayName: "X", isBot: true })));
const profile = await client.getUserProfile(user.id);
isUser(profile);
say("profile", client.status, profile.username, profile.displayName);
say("nobody", await failing(client.getUserProfile("00000000-0000-4000-8000-000000000000")));

const fresh = await client.refreshToken();
assert.deepEqual(Object.keys(fresh), ["token"]);
say("refresh", client.status, fresh.token === client.token ? "the same" : "another");
await client.getMe();
const before = client.status;
client.token = fresh.token;
await client.getMe();
say("both are good", before, client.status);

const sessions = await client.sessions();
say("sessions", client.status, sessions.length, sessions.filter((s) => s.current).length);
await client.disconnect();
say("disconnect", client.status);
await client.endSession(sessions.find((s) => !s.current).id);
say("end the other", client.status);
const other = new Client();
other.token = token;
say("the other is over", await failing(other.getMe()));
await client.logout();
say("logout", client.status);
say("over", await failing(client.getMe()));

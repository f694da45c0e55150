// A client of the methods contract, of Node's ws.
//
// usage: NODE_PATH=DIRECTORY-OF-WS node methods.mjs URL NAME PASSWORD
//
// It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { WebSocket } = createRequire(import.meta.url)("ws");
const [url, username, password] = process.argv.slice(2);

// connect returns a connection that calls methods, and that events can be waited for on.
async function connect() {
  const socket = new WebSocket(url);
  const pending = new Map(), events = [], waiting = [];
  let last = 0;
  socket.on("message", (data, binary) => {
    assert.equal(binary, false);
    const message = JSON.parse(data);
    if ("r" in message) {
      assert.ok("d" in message !== "err" in message, data.toString());
      pending.get(message.r)(message);
      assert.ok(pending.delete(message.r));
    } else if (waiting.length) {
      waiting.shift()(message);
    } else {
      events.push(message);
    }
  });
  await new Promise((ok, fail) => socket.on("open", ok).on("error", fail));
  return {
    call(m, d) {
      const r = `${m}-${++last}`;
      return new Promise((ok) => {
        pending.set(r, ok);
        socket.send(JSON.stringify({ m, r, d }));
      });
    },
    event: () => events.length ? Promise.resolve(events.shift()) : new Promise((ok) => waiting.push(ok)),
    close: () => new Promise((ok) => { socket.on("close", (code) => ok(code)); socket.close(1000); }),
  };
}

const brief = ({ d, err }) => err ?? (d.token ? "token" : JSON.stringify(d));
const first = await connect(), second = await connect();

console.log("before", brief(await first.call("whoami")));
const { d: { token } } = await first.call("user_register", { username, password });
assert.equal(typeof token, "string");
console.log("whoami", brief(await first.call("whoami")));
console.log("register again", brief(await second.call("user_register", { username, password })));
console.log("wrong password", brief(await second.call("user_login", { username, password: password + "x" })));
console.log("token", brief(await second.call("user_token_auth", { token })));
console.log("whoami", brief(await second.call("whoami")));
console.log("many", (await Promise.all(Array.from({ length: 12 }, () => second.call("whoami")))).every((a) => a.d.user === username));
console.log("logout", brief(await first.call("user_logout")));
console.log("event", JSON.stringify(await second.event()));
console.log("after", brief(await second.call("whoami")));
console.log("old token", brief(await second.call("user_token_auth", { token })));
console.log("login", brief(await first.call("user_login", { username, password })), brief(await second.call("user_login", { username, password })));
console.log("logout all", brief(await second.call("user_logout_all")));
console.log("event", JSON.stringify(await first.event()));
console.log("unknown", brief(await first.call("user_dance")));
console.log("closed", await first.close(), await second.close());

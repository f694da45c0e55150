// A client of the rooms contract, of nothing but what Node brings along.
//
// usage: NODE_EXTRA_CA_CERTS=CA-FILE node rooms.mjs BASE-URL NAME SECRET tls|websocket
//
// With tls it speaks the WebSocket protocol itself; with websocket it uses the global WebSocket, as a browser's page
// would. It prints what it was answered, line by line, and fails with an exception where it was answered nonsense.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import tls from "node:tls";

const [base, name, secret, transport] = process.argv.slice(2);
const { hostname, port, host } = new URL(base);

async function call(path, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(`${base}/api/v1/${path}`, { method: "POST", headers, body: body && JSON.stringify(body) });
  const reply = await response.json();
  assert.deepEqual(Object.keys(reply).sort(), ["data", "error"]);
  return [response.status, reply];
}

// inbox is what both transports fill: messages to wait for, and a promise of the code that ends them.
function inbox() {
  const waiting = [], queue = [];
  let end;
  return {
    deliver(message) { waiting.length ? waiting.shift()(message) : queue.push(message); },
    next: () => queue.length ? Promise.resolve(queue.shift()) : new Promise((ok) => waiting.push(ok)),
    closed: new Promise((ok) => { end = ok; }),
    end: (code) => end(code),
  };
}

// The global WebSocket does not tell the status of a handshake that failed.
function openGlobal(path, protocols) {
  const box = inbox();
  const ws = new WebSocket(`wss://${host}${path}`, protocols);
  ws.onmessage = (e) => box.deliver(JSON.parse(e.data));
  return new Promise((ok) => {
    ws.onopen = () => ok({ ...box, status: 101, protocol: ws.protocol, send: (m) => ws.send(JSON.stringify(m)) });
    ws.onerror = () => ok({ status: "refused" });
    ws.onclose = (e) => box.end(e.code);
  });
}

function openRaw(path, protocols) {
  const box = inbox();
  const key = randomBytes(16).toString("base64");
  const socket = tls.connect({ host: hostname, port, servername: hostname, ALPNProtocols: ["http/1.1"] });
  const frame = (opcode, payload) => {
    assert(payload.length < 126);
    const mask = randomBytes(4);
    socket.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, payload.map((b, i) => b ^ mask[i % 4])]));
  };
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${protocols.join(", ")}\r\n\r\n`);

  return new Promise((ok, fail) => {
    let bytes = Buffer.alloc(0), head = null;
    socket.on("error", fail);
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      try {
        if (head === null && !readHead()) return;
        if (head.status === 101) while (readFrame());
        else readRefusal();
      } catch (err) { fail(err); socket.destroy(err); }
    });

    function readHead() {
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return false;
      const [first, ...lines] = bytes.subarray(0, end).toString().split("\r\n");
      bytes = bytes.subarray(end + 4);
      head = { status: Number(first.split(" ")[1]) };
      for (const line of lines) head[line.slice(0, line.indexOf(":")).toLowerCase()] = line.slice(line.indexOf(":") + 1).trim();
      if (head.status !== 101) return true;
      assert.equal(head["sec-websocket-accept"], createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64"));
      ok({ ...box, status: 101, protocol: head["sec-websocket-protocol"], send: (m) => frame(1, Buffer.from(JSON.stringify(m))) });
      return true;
    }

    function readRefusal() {
      if (bytes.length < Number(head["content-length"])) return;
      ok({ status: head.status, type: JSON.parse(bytes).error.type });
      socket.end();
    }

    function readFrame() {
      if (bytes.length < 2) return false;
      assert.equal(bytes[0] & 0xf0, 0x80, "one frame a message, and no extensions");
      assert.equal(bytes[1] & 0x80, 0, "a server does not mask");
      const long = bytes[1] === 126;
      if (long && bytes.length < 4) return false;
      const start = long ? 4 : 2, end = start + (long ? bytes.readUInt16BE(2) : bytes[1]);
      if (bytes.length < end) return false;
      const opcode = bytes[0] & 0x0f, payload = bytes.subarray(start, end);
      bytes = bytes.subarray(end);
      if (opcode === 1) box.deliver(JSON.parse(payload));
      if (opcode === 9) frame(10, payload);
      if (opcode === 8) {
        frame(8, payload.subarray(0, 2));
        socket.end();
        box.end(payload.readUInt16BE(0));
      }
      return opcode !== 8;
    }
  });
}

const say = (...words) => console.log(words.join(" "));
const open = transport === "websocket" ? openGlobal : openRaw;
const room = `/api/v1/rooms/${name}/messages/ws`;
const account = { username: name, secret };

let [status, reply] = await call("users", account);
say("register", status, reply.data.username);
[status, reply] = await call("users", account);
say("register again", status, reply.error.type, reply.error.Type);
[status, reply] = await call("login", { ...account, secret: `${secret}!` });
say("wrong secret", status, reply.error.type);
[status, reply] = await call("login", account);
const token = reply.data.token;
say("login", status, reply.data.user.username);

const ws = await open(room, [token, "chat.v1"]);
say("handshake", ws.status, ws.protocol);
ws.send({ text: "hello" });
let got;
do got = await ws.next(); while (!("text" in got)); // who comes and goes
say("message", got.from, got.text);

[status, reply] = await call("logout", undefined, token);
say("logout", status, JSON.stringify(reply.data));
say("closed", await ws.closed);

const refused = await open(room, [token]);
say("handshake", ...[refused.status, refused.type].filter(Boolean));

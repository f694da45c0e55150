// What a page does that speaks auth, users and methods over one account. It returns what it heard, line by line.
async function contracts(password) {
  const heard = [];
  const say = (...words) => heard.push(words.join(" "));
  const call = async (method, path, { token, json, form } = {}) => {
    const headers = {};
    if (token) headers.Authorization = "Bearer " + token;
    if (json) headers["Content-Type"] = "application/json";
    const reply = await fetch(path, { method, headers, body: json ? JSON.stringify(json) : form && new URLSearchParams(form) });
    const text = await reply.text();
    return [reply.status, text && JSON.parse(text)];
  };

  let [status, reply] = await call("POST", "/api/auth/register", {
    json: { username: "carla", email: "carla@example.com", password, inviteCode: "" },
  });
  say("auth register", status, reply.user.username);
  const first = reply.token;
  [status, reply] = await call("PATCH", "/api/auth/me", { token: first, json: { displayName: "Carla of the page" } });
  say("auth me", status, reply.displayName, String(reply.avatarUrl));
  [status, reply] = await call("POST", "/api/auth/refresh", { token: first });
  const second = reply.token;
  say("auth refresh", status, second === first ? "the same token" : "another token");
  [status] = await call("GET", "/api/auth/me", { token: first });
  say("auth old token", status);

  [status, reply] = await call("POST", "/users/login", { form: { username: "carla", password: password + "x" } });
  say("users login", status, reply.data.message);
  [status, reply] = await call("POST", "/users/login", { form: { username: "carla", password } });
  const ssid = reply.data.message.ssid;
  say("users login", status, reply.success);
  [status, reply] = await call("GET", "/users/info");
  say("users info without a header", status, reply.data.message.username);
  [status] = await call("GET", "/api/auth/me", { token: ssid });
  say("auth with the session of users", status);

  const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
  const waiting = [], queue = [];
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    waiting.length ? waiting.shift()(message) : queue.push(message);
  };
  const next = () => queue.length ? Promise.resolve(queue.shift()) : new Promise((ok) => waiting.push(ok));
  await new Promise((ok, fail) => { socket.onopen = ok; socket.onerror = fail; });
  const method = (m, d) => {
    socket.send(JSON.stringify({ m, r: m, d }));
    return next();
  };
  say("methods token", JSON.stringify((await method("user_token_auth", { token: ssid })).d));
  say("methods logout", JSON.stringify((await method("user_logout")).d));
  [status, reply] = await call("GET", "/users/info");
  say("users info", status, reply.data.message);
  [status] = await call("GET", "/api/auth/me", { token: second });
  say("auth me", status);
  await method("user_login", { username: "carla", password });
  [status] = await call("POST", "/api/auth/logout-all", { token: second });
  say("methods login again, then logout-all over auth", status);
  say("methods event", (await next()).e);
  [status, reply] = await call("GET", "/api/auth/me", { token: second });
  say("auth me", status, reply.error);
  socket.close();
  return heard.join("\n");
}

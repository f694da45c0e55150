// The chat's page. Accounts and tokens are the gateway's, on this origin; messages come from the room's socket.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const log = $("log"), status = $("status"), field = $("message"), dialog = $("auth-dialog");
  const room = new URLSearchParams(location.search).get("room")?.trim() || "lobby";
  const maxShown = 500; // lines of the log

  $("room").textContent = room;
  document.title = `#${room} · ${document.title}`;

  // --- who we are: a token in the tab's own storage, or a visitor ---

  const session = {
    get token() { return sessionStorage.getItem("chat.token"); },
    get user() { return sessionStorage.getItem("chat.user"); },
    begin(token, user) {
      sessionStorage.setItem("chat.token", token);
      sessionStorage.setItem("chat.user", user);
    },
    end() {
      sessionStorage.removeItem("chat.token");
      sessionStorage.removeItem("chat.user");
    },
  };

  function notify(text, { bad = false, reconnect = false } = {}) {
    $("notice").textContent = text;
    $("notice").parentElement.dataset.kind = bad ? "bad" : "";
    $("reconnect").hidden = !reconnect;
    $("dismiss").hidden = !text || reconnect;
  }

  function show(state, text) {
    const member = session.token !== null;
    const joined = state === "joined";
    if (status.dataset.state !== state || status.textContent !== text) {
      status.dataset.state = state;
      status.textContent = text;
    }
    $("whoami").textContent = member ? session.user : "Watching as a visitor";
    $("whoami").classList.toggle("member", member);
    $("open-login").hidden = member;
    $("logout").hidden = !member;
    const hadFocus = document.activeElement === field;
    field.disabled = $("send").disabled = !joined;
    field.placeholder = joined ? "Write a message" : member ? "Not connected" : "Log in to write";
    $("hint").textContent = member ? "Enter sends, Shift+Enter starts a new line." : "Visitors can read along.";
    $("hint-login").hidden = member;
    if (hadFocus && !joined) log.focus(); // a disabled field would leave the keyboard nowhere
    for (const line of log.querySelectorAll(".msg")) line.classList.toggle("own", line.dataset.from === session.user);
    if (following) toEnd();
  }

  // --- the socket ---

  let socket = null;   // the live one; callbacks of any other are stale
  let retry = 0;       // the timer of the next attempt
  let attempt = 0;     // failures since a connection last held
  let refused = 0;     // handshakes in a row that failed with a token
  let openedAt = 0;
  let wantsField = false; // who has just logged in wants to write

  function connect() {
    clearTimeout(retry);
    leave();
    const token = session.token;
    const url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/v1/rooms/${encodeURIComponent(room)}/messages/ws`;
    show("connecting", attempt ? "Reconnecting…" : "Connecting…");
    // The demo's room answers with chat.v1. Before a chat that knows no subprotocol, the token is the only offer.
    const ws = socket = token === null ? new WebSocket(url) : new WebSocket(url, [token, "chat.v1"]);
    let opened = false;
    ws.onopen = () => {
      if (ws !== socket) return;
      opened = true;
      openedAt = Date.now();
      refused = 0;
      $("reconnect").hidden = true;
      // What was said before is not read out, only what comes from now on.
      log.setAttribute("aria-busy", "true");
      setTimeout(() => log.removeAttribute("aria-busy"), 500);
      if (token === null) show("watching", "Watching");
      else show("joined", "Joined");
      if (wantsField && token !== null) field.focus();
      wantsField = false;
    };
    ws.onmessage = (e) => { if (ws === socket) receive(e.data); };
    ws.onclose = (e) => { if (ws === socket) closed(e.code, opened, token); };
  }

  function leave() {
    const old = socket;
    socket = null;
    if (old && old.readyState <= WebSocket.OPEN) old.close(1000);
  }

  function closed(code, opened, token) {
    socket = null;
    if (code === 1008) {
      show("closed", "Disconnected");
      notify(token === null ? "Visitors can only watch. Log in to write." : "The server ended the connection.", { bad: true, reconnect: true });
      return;
    }
    if (code === 4401 || code === 4408) {
      becomeVisitor("Your session has ended.");
      return;
    }
    // A browser does not tell why a handshake failed; twice with a token is taken for the token's fault.
    if (!opened && token !== null && navigator.onLine && ++refused >= 2) {
      becomeVisitor("You are no longer logged in.");
      return;
    }
    if (opened && Date.now() - openedAt > 5000) attempt = 0;
    const longest = Math.min(30000, 1000 * 2 ** attempt++);
    const wait = Math.max(1000, longest * (0.5 + Math.random() / 2));
    show("connecting", `Connection lost. Trying again in ${Math.ceil(wait / 1000)} s`);
    retry = setTimeout(connect, wait);
  }

  function becomeVisitor(why) {
    session.end();
    refused = attempt = 0;
    notify(why);
    connect();
  }

  window.addEventListener("online", () => { if (!socket && status.dataset.state === "connecting") connect(); });
  $("reconnect").addEventListener("click", () => { notify(""); attempt = 0; connect(); log.focus(); });
  $("dismiss").addEventListener("click", () => { notify(""); (field.disabled ? log : field).focus(); });

  // --- the log ---

  const seen = new Set(); // the history comes again with every connection
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const fullDate = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
  const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
  let lastDay = "", lastFrom = "";

  function receive(data) {
    let m;
    try { m = JSON.parse(data); } catch { return; }
    if (typeof m.text === "string") addMessage(m);
    else if (m.event === "join" || m.event === "part") addEvent(m.event, m.user);
    else if (typeof m.error === "string") refusedMessage(m.error);
  }

  function element(tag, className, text) {
    const e = document.createElement(tag);
    e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  function addMessage({ id, from, text, at }) {
    const key = JSON.stringify([id, from, at, text]);
    if (seen.has(key)) return;
    seen.add(key);
    if (seen.size > 2 * maxShown) seen.delete(seen.values().next().value);

    const when = new Date(at);
    const day = when.toDateString();
    if (day !== lastDay) {
      addDay(when);
      lastDay = day;
      lastFrom = "";
    }
    const line = element("div", `msg hue-${hue(from)}`);
    line.dataset.from = from;
    line.dataset.id = id;
    line.classList.toggle("more", from === lastFrom);
    line.classList.toggle("own", from === session.user);
    lastFrom = from;

    const avatar = element("span", "avatar", [...from][0]?.toUpperCase());
    avatar.setAttribute("aria-hidden", "true");
    const bubble = element("div", "bubble");
    const time = element("time", "", clock.format(when));
    time.dateTime = at;
    time.title = fullTime.format(when);
    bubble.append(element("span", "text", text), " ", time);
    line.append(avatar, element("span", "from", from), bubble);
    append(line, from === session.user);
  }

  function addEvent(event, user) {
    if (user === session.user) return; // the status says it
    lastFrom = "";
    append(element("p", "event", `${user} ${event === "join" ? "joined" : "left"}`), false);
  }

  function addDay(when) {
    const today = new Date(), yesterday = new Date();
    yesterday.setDate(today.getDate() - 1);
    const name = when.toDateString() === today.toDateString() ? "Today"
      : when.toDateString() === yesterday.toDateString() ? "Yesterday" : fullDate.format(when);
    const line = element("div", "day");
    const time = element("time", "", name);
    time.dateTime = `${when.getFullYear()}-${String(when.getMonth() + 1).padStart(2, "0")}-${String(when.getDate()).padStart(2, "0")}`;
    line.append(time);
    append(line, false);
  }

  function hue(name) {
    let h = 0;
    for (const c of name) h = (h * 31 + c.codePointAt(0)) >>> 0;
    return h % 8;
  }

  let following = true; // false while the reader has scrolled up
  let lastTop = 0;
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };

  function append(line, ours) {
    log.append(line);
    while (log.childElementCount > maxShown) log.firstElementChild.remove();
    if (following || ours) toEnd();
    else $("new-messages").hidden = false;
  }

  log.addEventListener("scroll", () => {
    // Away from the end is not enough: the log also shrinks, when a notice or the keyboard comes up.
    if (atEnd()) following = true;
    else if (log.scrollTop < lastTop) following = false;
    lastTop = log.scrollTop;
    if (following) $("new-messages").hidden = true;
  }, { passive: true });
  new ResizeObserver(() => { if (following) toEnd(); }).observe(log);
  $("new-messages").addEventListener("click", () => { toEnd(); (field.disabled ? log : field).focus(); });

  // --- the composer ---

  let lastSent = "";

  function fit() {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  }

  function refusedMessage(why) {
    if (field.value.trim() === "") {
      field.value = lastSent; // nobody should have to type it again
      fit();
    }
    notify(why === "read-only" ? "You may read here, but not write." : `Not sent: ${why}.`, { bad: true });
  }

  $("composer").addEventListener("submit", (e) => {
    e.preventDefault();
    const text = field.value.trim();
    if (text === "" || socket?.readyState !== WebSocket.OPEN) return;
    const max = Number($("composer").dataset.max);
    if (new TextEncoder().encode(text).length > max) {
      notify(`Not sent: the text is longer than ${max} bytes.`, { bad: true });
      return;
    }
    socket.send(JSON.stringify({ text }));
    lastSent = text;
    field.value = "";
    fit();
    notify("");
    field.focus();
  });
  field.addEventListener("input", fit);
  field.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      $("composer").requestSubmit();
    }
  });

  // --- accounts ---

  const friendly = {
    USER_NOT_FOUND: "There is nobody of that name. Register to take it.",
    PASSWORD_MATCH_FAILED: "That is not the right password.",
    USER_EXISTS: "That name is taken. If it is yours, log in.",
    BAD_PASSWORD: "That password will not do. Choose a longer one that is hard to guess.",
    BAD_BINDING: "That name or password cannot be used.",
  };
  const explained = ["BAD_PASSWORD", "BAD_BINDING"]; // the gateway knows which rule was broken

  async function call(path, body, token) {
    const headers = { Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    let res;
    try {
      res = await fetch(`/api/v1/${path}`, { method: "POST", headers, body: body && JSON.stringify(body), cache: "no-store", keepalive: true });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    const reply = await res.json().catch(() => null);
    if (res.ok && reply) return reply.data;
    const type = reply?.error?.type ?? reply?.error?.Type;
    if (res.status === 429 || type === "RATE_LIMITED") {
      const s = parseInt(res.headers.get("Retry-After"), 10);
      throw new Error(`Too many attempts. Try again ${s > 90 ? `in ${Math.ceil(s / 60)} minutes` : s > 1 ? `in ${s} seconds` : "in a moment"}.`);
    }
    const said = reply?.error?.message;
    if (explained.includes(type) && said) throw new Error(`${friendly[type]} (${said})`);
    throw new Error(friendly[type] ?? (said || `Something went wrong (${res.status}). Try again later.`));
  }

  function openDialog() {
    authError("");
    dialog.showModal();
  }

  function authError(text, ...fields) {
    $("auth-error").textContent = text;
    for (const f of [$("auth-username"), $("auth-secret")]) {
      if (fields.includes(f)) f.setAttribute("aria-invalid", "true");
      else f.removeAttribute("aria-invalid");
    }
    fields[0]?.focus();
  }

  let busy = false;

  $("auth-form").addEventListener("submit", async (e) => {
    e.preventDefault();
    if (busy) return;
    const registering = e.submitter === $("auth-register");
    const username = $("auth-username").value.trim(), secret = $("auth-secret").value;
    const missing = [username === "" && $("auth-username"), secret === "" && $("auth-secret")].filter(Boolean);
    if (missing.length) {
      authError(missing.length > 1 ? "Give a username and a password." : username === "" ? "Give a username." : "Give a password.", ...missing);
      return;
    }
    authError("");
    setBusy(true);
    $("auth-secret").autocomplete = registering ? "new-password" : "current-password"; // for password managers
    try {
      if (registering) await call("users", { username, secret });
      const { token, user } = await call("login", { username, secret });
      session.begin(token, user.username);
      $("auth-secret").value = "";
      dialog.close();
      notify("");
      attempt = refused = 0;
      wantsField = true;
      connect();
    } catch (err) {
      authError(err.message, $("auth-secret"));
    } finally {
      setBusy(false);
    }
  });

  function setBusy(on) {
    busy = on;
    // Not disabled: that would take the focus away.
    for (const b of [$("auth-login"), $("auth-register")]) b.setAttribute("aria-disabled", String(on));
  }

  $("open-login").addEventListener("click", openDialog);
  $("hint-login").addEventListener("click", openDialog);
  $("auth-close").addEventListener("click", () => dialog.close());

  $("logout").addEventListener("click", () => {
    const token = session.token;
    leave(); // before the gateway does, which would tell us that our session has ended
    session.end();
    attempt = refused = 0;
    notify("You have logged out.");
    connect();
    $("open-login").focus();
    call("logout", null, token).catch((err) => notify(`You have left, but the server did not confirm it: ${err.message}`, { bad: true }));
  });

  // For the console, and for tests.
  window.chat = { get socket() { return socket; } };

  connect();
})();

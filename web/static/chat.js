// A client of the plain protocol: one text frame per message, one JSON frame per answer.

const element = (id) => document.getElementById(id);
const [status, welcome, chat, messages, waiting, text, send, leave] = [
  "status", "welcome", "chat", "messages", "waiting", "text", "send", "leave",
].map(element);

const STORED = "parley.token";
const LONGEST_PAUSE = 15_000; // milliseconds between two tries to connect

let token = null;
let socket = null;
let retries = 0;
let timer = null;
let unanswered = 0;
const seen = new Set();

class SessionGone extends Error {}

async function call(path, options) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (response.status === 400) throw new SessionGone(body.detail?.msg ?? body.detail);
  if (!response.ok) throw new Error(body.detail ?? `the server answered ${response.status}`);
  return body;
}

const history = () => call(`/refresh_token?token=${encodeURIComponent(token)}`);

function show(kind, content) {
  const atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 80;
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = content;
  messages.append(item);
  if (atEnd || kind === "human") messages.scrollTop = messages.scrollHeight;
}

function showWaiting() {
  waiting.hidden = unanswered === 0;
}

// Both a frame and the history bring an answer; its id tells that it is the same one.
function showAnswer(id, content, failed = false) {
  if (seen.has(id)) return false;
  seen.add(id);
  show(failed ? "bot failed" : "bot", content);
  return true;
}

function answered(frame) {
  if (!showAnswer(frame.id, frame.msg, "error" in frame)) return;
  unanswered = Math.max(0, unanswered - 1);
  showWaiting();
  if (frame.error === "session_expired") ended(frame.msg);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(`${scheme}://${location.host}/chat?token=${encodeURIComponent(token)}`);
  socket = opened;
  status.textContent = "Connecting …";
  opened.onopen = () => {
    retries = 0;
    status.textContent = "";
    send.disabled = false;
  };
  opened.onmessage = (event) => answered(JSON.parse(event.data));
  opened.onclose = () => {
    if (socket !== opened) return; // a connection of before must not disturb the one of now
    send.disabled = true;
    status.textContent = "Connection lost, trying again …";
    timer = setTimeout(reconnect, Math.min(LONGEST_PAUSE, 500 * 2 ** retries++) * (0.5 + Math.random() / 2));
  };
}

async function reconnect() {
  const expected = token;
  try {
    const session = await history();
    if (token !== expected) return;
    for (const message of session.messages) {
      if (message.msg.startsWith("Bot: ")) answered({ id: message.id, msg: message.msg.slice(5) });
    }
    connect();
  } catch (error) {
    if (token !== expected) return;
    if (error instanceof SessionGone) ended(error.message);
    else timer = setTimeout(reconnect, LONGEST_PAUSE);
  }
}

function enter(session) {
  token = session.token;
  localStorage.setItem(STORED, token);
  welcome.hidden = true;
  chat.hidden = leave.hidden = false;
  let humans = 0;
  for (const { id, msg } of session.messages) {
    if (msg.startsWith("Human: ")) {
      show("human", msg.slice(7));
      humans += 1;
    } else {
      showAnswer(id, msg.replace(/^Bot: /, ""));
      humans = 0;
    }
  }
  unanswered = Math.min(humans, 1);
  showWaiting();
  text.focus();
  connect();
}

function ended(reason = "") {
  clearTimeout(timer);
  const old = socket;
  token = socket = null;
  old?.close();
  localStorage.removeItem(STORED);
  seen.clear();
  unanswered = retries = 0;
  messages.replaceChildren();
  showWaiting();
  send.disabled = true;
  status.textContent = "";
  chat.hidden = leave.hidden = true;
  welcome.hidden = false;
  element("start-error").textContent = reason;
  element("name").focus();
}

element("start").addEventListener("submit", async (event) => {
  event.preventDefault();
  element("start-error").textContent = "";
  const name = new URLSearchParams({ name: element("name").value });
  try {
    enter(await call(`/token?${name}`, { method: "POST" }));
  } catch (error) {
    element("start-error").textContent = error.message;
  }
});

element("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!text.value.trim() || socket?.readyState !== WebSocket.OPEN) return;
  socket.send(text.value);
  show("human", text.value);
  unanswered += 1;
  showWaiting();
  text.value = "";
  resize();
});

function resize() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

text.addEventListener("input", resize);
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element("compose").requestSubmit();
});
leave.addEventListener("click", () => ended());

call("/model").then(({ kind, name }) => {
  if (kind !== "eliza") return;
  element("model").textContent = `No model is configured: the built-in ${name} answers.`;
  element("model").hidden = false;
}).catch(() => {});

token = localStorage.getItem(STORED);
if (token !== null) history().then(enter).catch((error) => ended(error instanceof SessionGone ? "" : error.message));

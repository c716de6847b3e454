// A client of the plain protocol: one text frame per message, one JSON frame per answer.

const element = (id) => document.getElementById(id);
const [status, welcome, chat, log, messages, waiting, compose, text, send, leave] = [
  "status", "welcome", "chat", "log", "messages", "waiting", "compose", "text", "send", "leave",
].map(element);

const STORED = "parley.token";
const LONGEST_PAUSE = 15_000; // milliseconds between two tries to connect
const LONGEST_REQUEST = 15_000;
const LONGEST_ANSWER = 120_000; // after it nothing is expected any more: the message or its error was lost

const HUMAN = "Human: ";
const BOT = "Bot: ";

let token = null;
let socket = null;
let retries = 0;
let retryTimer = null;
let unanswered = 0;
let answerTimer = null;
let catchUps = 0;
let atEnd = true;
const seen = new Set();

// A browser that keeps nothing still can chat; only a reload then starts anew.
const storage = (() => {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
})();

class Refused extends Error {} // the request itself is wrong; another try would not help

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(LONGEST_REQUEST), ...options });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const reason = body.detail?.msg ?? body.detail ?? `The server answered ${response.status}.`;
  throw response.status === 400 ? new Refused(reason) : new Error(reason);
}

const readSession = () => call(`/refresh_token?token=${encodeURIComponent(token)}`);

// What is on the screen

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
}

function show(kind, content) {
  const item = document.createElement("li");
  const speaker = document.createElement("span");
  item.className = kind;
  speaker.className = "unseen";
  speaker.textContent = kind === "human" ? "You: " : "Parley: ";
  item.append(speaker, content);
  messages.append(item);
  if (kind === "human") atEnd = true;
  if (atEnd) scrollToEnd();
}

function expect(count) {
  clearTimeout(answerTimer);
  unanswered = Math.max(0, count);
  waiting.hidden = unanswered === 0;
  if (waiting.hidden) return;
  if (atEnd) scrollToEnd();
  answerTimer = setTimeout(() => {
    expect(0);
    status.textContent = "No answer came. You may send your message again.";
  }, LONGEST_ANSWER);
}

// Both a frame and the history bring an answer; its id tells that it is the same one.
function showAnswer(id, content, kind = "bot") {
  if (seen.has(id)) return false;
  seen.add(id);
  show(kind, content);
  return true;
}

function showHistory(history) {
  messages.replaceChildren();
  seen.clear();
  atEnd = true;
  for (const { id, msg } of history) {
    if (msg.startsWith(HUMAN)) show("human", msg.slice(HUMAN.length));
    else showAnswer(id, msg.slice(BOT.length));
  }
  // An error ends a turn too, but the history does not hold it: an old question is not waiting any more.
  const last = history.at(-1);
  const open = last?.msg.startsWith(HUMAN) && Date.now() - Date.parse(last.timestamp) < LONGEST_ANSWER;
  expect(open ? 1 : 0);
}

// From the server

function answered(frame) {
  const expected = unanswered > 0;
  const failed = "error" in frame;
  if (!showAnswer(frame.id, frame.msg, failed ? "bot failed" : "bot")) return;
  status.textContent = "";
  expect(unanswered - 1);
  if (frame.error === "session_expired") expired();
  else if (!expected && !failed) catchUp();
}

// An answer to a question that this page does not show: it was asked in another tab, or waited during a reload.
async function catchUp() {
  const run = ++catchUps;
  try {
    const session = await readSession();
    if (session.token === token && run === catchUps && unanswered === 0) showHistory(session.messages);
  } catch {
    // The answer itself is there; the question comes with the next reload.
  }
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(`${scheme}://${location.host}/chat?token=${encodeURIComponent(token)}`);
  socket = opened;
  opened.onopen = () => {
    if (socket !== opened) return;
    retries = 0;
    status.textContent = "";
    send.disabled = false;
  };
  opened.onmessage = (event) => {
    if (socket === opened) answered(JSON.parse(event.data));
  };
  opened.onclose = () => {
    if (socket !== opened) return; // a connection of before must not disturb the one of now
    send.disabled = true;
    retryLater();
  };
}

function retryLater() {
  status.textContent = "No connection, trying again …";
  const pause = Math.min(LONGEST_PAUSE, 500 * 2 ** retries++) * (0.5 + Math.random() / 2);
  retryTimer = setTimeout(resume, pause);
}

// Goes on with the session of `token`, after a reload as after a lost connection.
async function resume() {
  retryTimer = null;
  const resumed = token;
  try {
    const session = await readSession();
    if (token !== resumed) return;
    if (chat.hidden) {
      enter(session);
      return;
    }
    const missed = session.messages.filter(({ id, msg }) => msg.startsWith(BOT) && !seen.has(id));
    if (missed.length > unanswered) showHistory(session.messages);
    else for (const { id, msg } of missed) answered({ id, msg: msg.slice(BOT.length) });
    connect();
  } catch (error) {
    if (token !== resumed) return;
    if (!(error instanceof Refused)) retryLater();
    else if (!chat.hidden) {
      show("bot failed", "This session has expired. Start a new one to go on.");
      expired();
    } else {
      goToWelcome();
      status.textContent = "Your last chat has expired.";
    }
  }
}

// From one state to the next

function enter(session) {
  token = session.token;
  storage?.setItem(STORED, token);
  welcome.hidden = true;
  chat.hidden = compose.hidden = leave.hidden = false;
  status.textContent = "";
  showHistory(session.messages);
  text.focus();
  connect();
}

function disconnect() {
  clearTimeout(retryTimer);
  const old = socket;
  token = socket = retryTimer = null;
  retries = 0;
  old?.close();
  storage?.removeItem(STORED);
  expect(0);
  send.disabled = true;
  status.textContent = "";
}

// What was said stays on the screen until a new chat begins.
function expired() {
  disconnect();
  compose.hidden = true;
  leave.focus();
}

function goToWelcome() {
  disconnect();
  messages.replaceChildren();
  seen.clear();
  text.value = "";
  resize();
  chat.hidden = leave.hidden = true;
  welcome.hidden = false;
  element("name").select();
  element("name").focus();
}

// From the user

element("start").addEventListener("submit", async (event) => {
  event.preventDefault();
  status.textContent = element("start-error").textContent = "";
  element("enter").disabled = true;
  const name = new URLSearchParams({ name: element("name").value });
  try {
    enter(await call(`/token?${name}`, { method: "POST" }));
  } catch (error) {
    element("start-error").textContent = error.message;
  } finally {
    element("enter").disabled = false;
  }
});

compose.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!text.value.trim() || socket?.readyState !== WebSocket.OPEN) return;
  socket.send(text.value);
  show("human", text.value);
  status.textContent = "";
  expect(unanswered + 1);
  text.value = "";
  resize();
  text.focus();
});

function resize() {
  text.style.height = "auto";
  if (text.value) text.style.height = `${text.scrollHeight + 2}px`; // with its two borders
}

text.addEventListener("input", resize);
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  compose.requestSubmit();
});
leave.addEventListener("click", goToWelcome);

// The last message stays in view when a keyboard opens or the text grows.
log.addEventListener("scroll", () => {
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
});
new ResizeObserver(() => {
  if (atEnd) scrollToEnd();
}).observe(log);

window.addEventListener("online", () => {
  if (retryTimer === null) return;
  clearTimeout(retryTimer);
  resume();
});

call("/model").then(({ kind, name }) => {
  if (kind !== "eliza") return;
  element("model").textContent = `No model is configured: the built-in ${name} answers.`;
  element("model").hidden = false;
}).catch(() => {});

token = storage?.getItem(STORED) ?? null;
if (token === null) {
  goToWelcome();
} else {
  leave.hidden = false;
  resume();
}

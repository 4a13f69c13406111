// The page over the server: opens a conversation, starts turns, follows them, and holds on when
// the server goes away. What is true stands there; here is only what is on screen.

import { Gone, events, get, isThread, newThread, request } from "./net.js";
import * as talk from "./talk.js";
import * as shell from "./shell.js";
import { clearTicks, redrawTicks } from "./cards.js";
import { listen, showKnown } from "./known.js";
import { hide } from "./proof.js";
import { showThumbs } from "./thumbs.js";
import { showTrace } from "./look.js";

const $ = id => document.getElementById(id);
const field = $("say-text");
const blank = $("known").innerHTML;
const RETRY_MS = 1500;
const now = { thread: "", running: false, gone: false };

// Openings: a conversation by its name in the address, else the one this browser was in

async function open(thread) {
  now.thread = thread;
  now.running = false;
  localStorage.setItem("parley-thread", thread);
  clearTicks();
  shell.markPast(thread);
  try {
    const shown = await get("conversation", { thread });
    if (now.thread !== thread) return;
    show(shown);
    recovered();
    if (shown.running) await follow();
    else talk.toEnd();
  } catch (error) {
    if (error instanceof Gone) lost();
    else if (error.status === 404) fresh();
    else shell.toast(error.message);
  }
}

function show({ first, exchanges, known }) {
  hide();
  talk.write(first, exchanges);
  showKnown(known);
  showThumbs(now.thread);
  redrawTicks();
  settle();
}

function settle() {
  $("hero").hidden = !talk.isEmpty() || now.running;
  $("send").hidden = now.running;
  $("stop").hidden = !now.running;
  $("stop").disabled = false;
  $("send").disabled = !field.value.trim() || now.gone;
  $("talk").setAttribute("aria-busy", String(now.running));
  for (const one of document.querySelectorAll("#talk button, #known button, #hero button, #trace [data-run]")) {
    if (now.running) one.setAttribute("aria-disabled", "true");
    else one.removeAttribute("aria-disabled");
  }
  const dial = $("adventure");
  if (dial) dial.disabled = now.running || talk.isEmpty();
}

function fresh() {
  const thread = newThread();
  now.thread = thread;
  now.running = false;
  localStorage.setItem("parley-thread", thread);
  history.replaceState(null, "", location.pathname);
  clearTicks();
  shell.markPast("");
  show({ first: 0, exchanges: [], known: blank });
  window.scrollTo(0, 0);
}

// Turns

/** Start a turn and show it as it comes. Throws what the server refused, in its words. */
async function turn(asked) {
  if (now.running) return;
  const thread = now.thread;
  shell.openTab("chat");
  now.running = true;
  settle();
  let answer;
  try {
    answer = await request("turn", { method: "POST", body: { thread, ...asked } });
  } catch (error) {
    now.running = false;
    settle();
    if (error instanceof Gone) lost();
    throw error;
  }
  location.hash !== `#${thread}` && history.replaceState(null, "", `#${thread}`);
  await watch(thread, answer);
}

async function follow() {
  const thread = now.thread;
  now.running = true;
  settle();
  const answer = await request("follow", { query: { thread } });
  if (answer.status === 204) return open(thread); // it ended in between
  await watch(thread, answer);
}

async function watch(thread, answer) {
  let exchange = null;
  try {
    for await (const event of events(answer)) {
      if (now.thread !== thread) return; // another conversation was opened: the turn runs on
      if (event.kind === "begin") {
        exchange = talk.begin(event.first, event.html);
        settle();
      } else if (event.kind === "done") {
        now.running = false;
        show(event);
        if (event.notice) shell.toast(event.notice);
      } else {
        talk.add(exchange, event);
        if (event.kind === "failed") now.running = false;
        settle();
        redrawTicks();
      }
    }
    shell.refreshPast(now.thread).catch(() => {});
    if (matchMedia("(hover: hover)").matches && document.activeElement === document.body) toField();
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
    if (now.thread === thread) lost();
  } finally {
    if (now.thread === thread && !now.gone) {
      now.running = false;
      settle();
    }
  }
}

/** A turn begun by a click: what is refused is said in passing. */
function press(asked) {
  if (now.running || now.gone) return Promise.resolve();
  return turn(asked).catch(error => { if (!(error instanceof Gone)) shell.toast(error.message); });
}

const act = action => now.running ? Promise.reject(new Error("I am still answering."))
  : turn({ kind: "act", action });

async function say(text) {
  text = text.trim();
  if (!text || now.running || now.gone) return;
  field.value = "";
  grow();
  try {
    await turn({ kind: "say", text });
  } catch (error) {
    if (!field.value) field.value = text; // nothing that was typed is lost
    grow();
    if (!(error instanceof Gone)) shell.toast(error.message);
  }
}

async function undo() {
  if (now.running) return;
  try {
    const answer = await request("undo", { method: "POST", query: { thread: now.thread } });
    const shown = await answer.json();
    show(shown);
    field.value = shown.text || field.value;
    grow();
    toField();
    shell.refreshPast(now.thread).catch(() => {});
  } catch (error) {
    if (error instanceof Gone) lost();
    else shell.toast(error.message);
  }
}

// The server went away: say so, and go on by itself when it is back

async function lost() {
  if (now.gone) return;
  now.gone = true;
  settle();
  shell.banner("Parley is not answering. Everything said is kept; I keep trying to reach it.");
  while (now.gone) {
    await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    try {
      await get("ping");
    } catch (error) {
      if (error instanceof Gone) continue;
    }
    break;
  }
  now.gone = false;
  await open(now.thread);
}

function recovered() {
  if ($("banner").hidden) return;
  shell.banner("Parley is back.", true);
  setTimeout(() => { if (!now.gone) shell.banner(""); }, 2500);
}

// What people press

$("say").addEventListener("submit", event => {
  event.preventDefault();
  say(field.value);
});
field.addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    say(field.value);
  }
});
const toField = () => field.focus({ preventScroll: true }); // it stands still at the bottom
function grow() {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 190)}px`;
  $("send").disabled = !field.value.trim() || now.gone;
}
field.addEventListener("input", grow);
$("stop").addEventListener("click", () => {
  $("stop").disabled = true;
  request("stop", { method: "POST", query: { thread: now.thread } }).catch(() => {});
});
$("new").addEventListener("click", () => {
  shell.shutDrawers();
  shell.openTab("chat");
  fresh();
  toField();
});

document.addEventListener("click", async event => {
  const one = event.target.closest("button, a");
  if (!one || one.getAttribute("aria-disabled") === "true") return;
  const data = one.dataset;
  if (data.openThread) {
    event.preventDefault();
    shell.shutDrawers();
    shell.openTab("chat");
    history.pushState(null, "", `#${data.openThread}`);
    open(data.openThread);
  } else if (data.delete) {
    try {
      const gone = await shell.confirmDelete(data.delete, data.title, now.thread);
      if (gone && data.delete === now.thread) fresh();
    } catch (error) {
      shell.toast(error.message);
    }
  } else if (data.message !== undefined && one.matches("a")) {
    event.preventDefault();
    shell.shutDrawers();
    shell.openTab("chat");
    talk.goTo(data.message);
  } else if (data.say) say(data.say);
  else if (data.do && data.item) press({ kind: "act", action: { do: data.do, item_id: data.item } });
  else if (data.relax !== undefined) press({ kind: "act", relax: Number(data.relax) });
  else if (data.turn === "undo") undo();
  else if (data.turn) press({ kind: data.turn });
  else if (data.edit !== undefined) edit(one.closest(".you"), Number(data.edit));
  else if (data.trace !== undefined) {
    shell.openTab("trace");
    showTrace(now.thread, Number(data.trace));
  }
});

function edit(box, message) {
  const was = box.querySelector(".bubble").textContent;
  const form = document.createElement("form");
  const area = document.createElement("textarea");
  const buttons = document.createElement("div");
  area.value = was;
  area.maxLength = field.maxLength;
  area.setAttribute("aria-label", "Your message");
  buttons.className = "buttons";
  for (const [label, kind, name] of [["Cancel", "button", "quiet"], ["Save and answer again", "submit", "solid"]]) {
    const button = document.createElement("button");
    button.type = kind;
    button.className = name;
    button.textContent = label;
    buttons.append(button);
  }
  form.append(area, buttons);
  const kept = [...box.childNodes];
  const back = () => box.replaceChildren(...kept);
  buttons.firstChild.addEventListener("click", () => { back(); box.querySelector("button").focus(); });
  form.addEventListener("keydown", event => {
    if (event.key === "Escape") back();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === area) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", event => {
    event.preventDefault();
    const text = area.value.trim();
    back();
    if (text && text !== was) press({ kind: "edit", message, text });
  });
  box.replaceChildren(form);
  area.focus();
  area.setSelectionRange(was.length, was.length);
}

document.addEventListener("parley:tab", event => {
  if (event.detail === "trace") showTrace(now.thread);
});
document.addEventListener("parley:trace", event => showTrace(now.thread, event.detail.turn));
document.addEventListener("parley:rerun", event => press({ kind: "rerun", ...event.detail }));
window.addEventListener("hashchange", () => {
  const named = location.hash.slice(1);
  if (isThread(named) && named !== now.thread) open(named);
});
window.addEventListener("popstate", () => { if (!location.hash) fresh(); });

listen(act);
const named = [location.hash.slice(1), localStorage.getItem("parley-thread")].find(isThread);
if (named) {
  await open(named);
  if (!talk.isEmpty() && isThread(now.thread)) history.replaceState(null, "", `#${now.thread}`);
} else fresh();
shell.refreshPast(now.thread).catch(() => {});
document.documentElement.dataset.ready = "1";

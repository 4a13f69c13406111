// Around the conversation: theme, drawers, tabs, the list of conversations, banner and dialogs.

import { get, request } from "./net.js";

const $ = id => document.getElementById(id);
const app = $("app"), sidebar = $("sidebar"), understood = $("understood"), veil = $("veil");
const narrow = matchMedia("(max-width: 900px)");
const dark = matchMedia("(prefers-color-scheme: dark)");
let opener = null;

// Theme

const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
function nameTheme() {
  $("theme").querySelector("span").textContent = isDark() ? "Light look" : "Dark look";
}
$("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("parley-theme", theme);
  nameTheme();
});
dark.addEventListener("change", nameTheme);
nameTheme();

// Drawers: the list of conversations and what was understood, where there is no room for them

function openDrawer(drawer, by) {
  opener = by;
  drawer.classList.add("open");
  veil.hidden = false;
  $("main").inert = true;
  drawer.querySelector("button")?.focus();
}
export function shutDrawers() {
  const open = [sidebar, understood].filter(one => one.classList.contains("open"));
  if (!open.length) return;
  for (const one of open) one.classList.remove("open");
  veil.hidden = true;
  $("main").inert = false;
  opener?.focus();
}
document.addEventListener("click", event => {
  const button = event.target.closest("[data-sidebar]");
  if (button && narrow.matches) {
    if (sidebar.classList.contains("open")) shutDrawers();
    else openDrawer(sidebar, button);
  } else if (button) {
    app.classList.toggle("narrow");
    localStorage.setItem("parley-narrow", app.classList.contains("narrow") ? "1" : "");
  } else if (event.target.closest("#open-understood")) {
    openDrawer(understood, $("open-understood"));
  } else if (event.target === veil || event.target.closest("[data-shut]")) {
    shutDrawers();
  }
  event.target.closest("[data-close]")?.closest("dialog").close();
});
document.addEventListener("keydown", event => { if (event.key === "Escape") shutDrawers(); });
matchMedia("(max-width: 1180px)").addEventListener("change", shutDrawers);
narrow.addEventListener("change", shutDrawers);
if (localStorage.getItem("parley-narrow")) app.classList.add("narrow");
const sideNamed = () => {
  for (const one of document.querySelectorAll("#bar [data-sidebar]")) {
    one.setAttribute("aria-expanded", String(!app.classList.contains("narrow") && !narrow.matches));
  }
};
new MutationObserver(sideNamed).observe(app, { attributes: true });
sideNamed();

// Tabs

const tabs = [$("tab-chat"), $("tab-trace")];
export function openTab(name) {
  for (const tab of tabs) {
    const on = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !on;
  }
  $("composer").hidden = name !== "chat";
  document.dispatchEvent(new CustomEvent("parley:tab", { detail: name }));
}
for (const tab of tabs) {
  tab.addEventListener("click", () => openTab(tab.id.slice(4)));
  tab.addEventListener("keydown", event => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = tabs[1 - tabs.indexOf(tab)];
    other.focus();
    openTab(other.id.slice(4));
  });
}

// Past conversations

export function showPast(html, thread) {
  $("past").innerHTML = html;
  markPast(thread);
}
export function markPast(thread) {
  for (const row of $("past").querySelectorAll("li")) {
    const now = row.dataset.thread === thread;
    row.classList.toggle("now", now);
    row.querySelector("a").toggleAttribute("aria-current", now);
  }
}
export async function refreshPast(thread) {
  showPast((await get("conversations")).html, thread);
}

/** Ask before a conversation is deleted; resolves to whether it was. */
export function confirmDelete(thread, title, current) {
  const dialog = $("confirm");
  $("confirm-text").textContent = `“${title}” and everything said in it will be gone.`;
  dialog.showModal();
  return new Promise((resolve, reject) => {
    const yes = $("confirm-yes");
    const deleting = async () => {
      try {
        const answer = await request("conversation", { method: "DELETE", query: { thread } });
        showPast((await answer.json()).html, current);
        resolve(true);
      } catch (error) {
        reject(error);
      }
      dialog.close();
    };
    yes.addEventListener("click", deleting);
    dialog.addEventListener("close", () => {
      yes.removeEventListener("click", deleting);
      resolve(false);
    }, { once: true });
  });
}

// Words that come and go

export function banner(text, good = false) {
  $("banner").textContent = text;
  $("banner").classList.toggle("good", good);
  $("banner").hidden = !text;
}
let toasting = 0;
export function toast(text) {
  clearTimeout(toasting);
  $("toast").textContent = text;
  $("toast").hidden = false;
  toasting = setTimeout(() => { $("toast").hidden = true; }, 5000);
}

// The Trace panel at work (page/trace_tab.py): copying, choosing a turn, stepping in.
//
// Loaded once, works on whatever panel stands in the document. It asks the page for two things
// with events on `document`, which the page's own script answers:
//   parley:trace  {turn}                  show the trace of the reply at this place
//   parley:rerun  {beliefs, candidates}   run the last turn again with these (either may be null)
// Titles come from suggest.js, which tells what was chosen with parley:suggested on the field.

(() => {
  "use strict";

  const say = (near, words) => {
    const status = near.parentElement.querySelector("[role=status]");
    if (status) status.textContent = words;
  };

  // Where the page is not served over https or localhost there is no clipboard: the old way then.
  function copyBySelection(text) {
    const area = document.createElement("textarea");
    area.value = text;
    area.setAttribute("aria-hidden", "true");
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  async function copy(button) {
    const raw = button.closest(".trace").querySelector(".trace-raw");
    const text = raw.querySelector("pre").textContent;
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = copyBySelection(text);
    }
    button.focus();
    if (!done) raw.open = true;
    say(button, done ? "Copied." : "Copying is not allowed here: select the text below.");
  }

  const panelOf = node => node.closest(".trace-step");
  const listOf = panel => panel.querySelector(".steps");
  const idsOf = list => [...list.children].map(row => row.dataset.item);

  // What the list was when the panel came, to hand over only what was changed. A list's rows are
  // kept by the first look at it, which comes before the first change.
  const before = new WeakMap();
  function remember(list) {
    if (list && !before.has(list)) before.set(list, JSON.stringify(idsOf(list)));
  }

  function move(button) {
    const row = button.closest("li");
    const list = row.parentElement;
    remember(list);
    const title = row.firstElementChild.textContent;
    const status = panelOf(list).querySelector("[role=status]");
    if (button.dataset.do === "remove") {
      const next = row.nextElementSibling || row.previousElementSibling;
      row.remove();
      (next ? next.querySelector("[data-do=remove]") : panelOf(list) || list).focus?.();
      status.textContent = `${title} is out of the list.`;
      return;
    }
    const up = button.dataset.do === "up";
    const other = up ? row.previousElementSibling : row.nextElementSibling;
    if (other) list.insertBefore(row, up ? other : other.nextElementSibling);
    button.focus();
    status.textContent = `${title} is number ${[...list.children].indexOf(row) + 1}.`;
  }

  function addRow(list, id, title) {
    remember(list);
    const held = [...list.children].find(row => row.dataset.item === id);
    if (held) {
      list.prepend(held);
      return;
    }
    const row = document.createElement("li");
    row.dataset.item = id;
    const name = document.createElement("span");
    name.textContent = title;
    const buttons = document.createElement("span");
    for (const [what, word, sign] of [
      ["up", "Move up", "↑"], ["down", "Move down", "↓"], ["remove", "Remove", "×"],
    ]) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.do = what;
      button.setAttribute("aria-label", `${word}: ${title}`);
      button.textContent = sign;
      buttons.append(button);
    }
    row.append(name, buttons);
    list.prepend(row);
  }

  async function add(panel) {
    const field = panel.querySelector("[data-suggest=title]");
    const status = panel.querySelector("[role=status]");
    const wanted = field.value.trim();
    let id = field.dataset.title === wanted ? field.dataset.item : "";
    let title = wanted;
    if (!id && wanted) {
      const url = new URL("parley/suggest", document.baseURI);
      url.searchParams.set("q", wanted.slice(0, 200));
      url.searchParams.set("kind", "title");
      const answer = await fetch(url, { cache: "no-store" }).catch(() => null);
      const found = answer && answer.ok ? (await answer.json()).suggestions : [];
      const same = found.find(one => one.text.toLowerCase() === wanted.toLowerCase());
      if (same) [id, title] = [same.item_id, same.text];
    }
    if (!id) {
      status.textContent = wanted
        ? `No title “${wanted}” here: choose one of the suggestions while typing.`
        : "Type a title first.";
      return;
    }
    addRow(listOf(panel), id, title);
    status.textContent = `${title} stands first now.`;
    field.value = "";
  }

  async function run(panel) {
    const status = panel.querySelector("[role=status]");
    const text = panel.querySelector("#trace-beliefs");
    const list = listOf(panel);
    remember(list);
    let beliefs = null;
    if (text.value !== text.defaultValue) {
      status.textContent = "Checking …";
      const url = new URL("parley/beliefs", document.baseURI);
      const answer = await fetch(url, { method: "POST", body: text.value }).catch(() => null);
      const told = answer ? await answer.json().catch(() => ({})) : {};
      if (!told.beliefs) {
        status.textContent = told.error || "The server cannot be reached: try again.";
        text.setAttribute("aria-invalid", "true");
        text.focus();
        return;
      }
      beliefs = told.beliefs;
    }
    text.removeAttribute("aria-invalid");
    const ids = list ? idsOf(list) : null;
    const candidates = ids && JSON.stringify(ids) !== before.get(list) ? ids : null;
    if (candidates && !candidates.length) {
      status.textContent = "The candidate list is empty: add an item by its title.";
      return;
    }
    status.textContent = "Running …";
    document.dispatchEvent(new CustomEvent("parley:rerun", { detail: { beliefs, candidates } }));
  }

  document.addEventListener("click", event => {
    const button = event.target.closest?.(".trace [data-do], .trace-step [data-do]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    const panel = panelOf(button);
    switch (button.dataset.do) {
      case "copy": copy(button); break;
      case "add": add(panel); break;
      case "run": run(panel); break;
      default: move(button);
    }
  });

  document.addEventListener("change", event => {
    if (!event.target.matches?.("[data-trace-turn]")) return;
    const turn = Number(event.target.value);
    document.dispatchEvent(new CustomEvent("parley:trace", { detail: { turn } }));
  });

  document.addEventListener("parley:suggested", event => {
    const field = event.target;
    field.dataset.item = event.detail.item_id || "";
    field.dataset.title = event.detail.text;
  });

  document.addEventListener("keydown", event => {
    if (event.key !== "Enter" || !event.target.matches?.(".trace-step [data-suggest=title]")) return;
    event.preventDefault();
    add(panelOf(event.target));
  });
})();

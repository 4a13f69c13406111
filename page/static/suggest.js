// Suggestions while typing (page/suggest.py): a listbox over the field that is written in.
//
// A field asks for them with data-suggest: "message" (the words at the caret; titles, people and
// values; the message line needs no attribute) or "title" (the whole field is one title). What was taken is told by the event
// parley:suggested {text, kind, item_id} on the field, after its own input event.
//
// ARIA's combobox pattern with focus kept in the field. The field is a <textarea>, on which HTML
// admits no role, so it stays a textbox with aria-autocomplete, aria-controls and
// aria-activedescendant, and a live line says how many suggestions there are.
// Enter and Tab accept a *highlighted* suggestion; with none highlighted they do what they always
// do, so nobody who ignores the list is ever held up. Text goes in through textContent only.

(() => {
  "use strict";
  if (window.parleySuggest) return;
  window.parleySuggest = true;

  const TITLES = "[data-suggest=title]";
  const FIELD = "[data-suggest], #say-text";
  const SENT = 80;        // characters before the caret that are looked up
  const PAUSE = 80;       // milliseconds without a key before asking
  const GROUPS = { title: "Titles", person: "People", value: "Kinds and places" };
  const state = { field: null, options: [], at: -1, timer: 0, request: null, accepting: false };
  let list = null;
  let live = null;

  function build() {
    if (list && list.isConnected) return;
    const home = document.querySelector("main") || document.body;
    list = document.createElement("div");
    list.id = "parley-suggest";
    list.className = "suggest";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Suggestions");
    list.hidden = true;
    // Before the field loses focus: a mouse or a finger on the list leaves the caret where it is.
    list.addEventListener("mousedown", event => event.preventDefault());
    list.addEventListener("click", event => {
      const row = event.target.closest("[role=option]");
      if (row) accept(Number(row.dataset.at));
    });
    live = document.createElement("div");
    live.className = "suggest-live";
    live.setAttribute("role", "status");
    home.append(list, live);
  }

  function attach(field) {
    build();
    if (state.field === field) return;
    state.field = field;
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-controls", list.id);
    field.setAttribute("aria-haspopup", "listbox");
    field.setAttribute("autocomplete", "off");
  }

  function close() {
    clearTimeout(state.timer);
    if (state.request) state.request.abort();
    state.request = null;
    state.options = [];
    state.at = -1;
    if (list) { list.hidden = true; list.replaceChildren(); }
    if (live) live.textContent = "";
    if (state.field) state.field.removeAttribute("aria-activedescendant");
  }

  function later() {
    clearTimeout(state.timer);
    state.timer = setTimeout(ask, PAUSE);
  }

  async function ask() {
    const field = state.field;
    if (!field || document.activeElement !== field) return;
    if (field.selectionStart !== field.selectionEnd) return close();
    const before = field.value.slice(0, field.selectionStart);
    if (!/[\p{L}\p{N}]$/u.test(before)) return close();
    if (state.request) state.request.abort();
    const request = new AbortController();
    state.request = request;
    try {
      const url = new URL("parley/suggest", document.baseURI);
      url.searchParams.set("q", before.slice(-SENT));
      if (field.matches(TITLES)) url.searchParams.set("kind", "title");
      const answer = await fetch(url, { signal: request.signal, cache: "no-store" });
      const found = answer.ok ? (await answer.json()).suggestions : [];
      if (state.request === request) show(found);
    } catch (error) {
      // Aborted or offline: the person types on, suggestions are an extra.
      if (state.request === request) close();
    }
  }

  function show(found) {
    if (!found.length) return close();
    const groups = new Map();
    for (const one of found) {
      if (!groups.has(one.kind)) groups.set(one.kind, []);
      groups.get(one.kind).push(one);
    }
    state.options = [...groups.values()].flat();
    state.at = -1;
    state.field.removeAttribute("aria-activedescendant");
    list.replaceChildren();
    let at = 0;
    for (const [kind, ones] of groups) {
      const group = document.createElement("div");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", GROUPS[kind] || kind);
      const label = document.createElement("div");
      label.className = "suggest-group";
      label.setAttribute("aria-hidden", "true");
      label.textContent = GROUPS[kind] || kind;
      group.append(label);
      for (const one of ones) group.append(option(one, at++));
      list.append(group);
    }
    list.hidden = false;
    place();
    const many = state.options.length;
    live.textContent = many === 1 ? "1 suggestion" : `${many} suggestions`;
  }

  function option(one, at) {
    const row = document.createElement("div");
    row.id = `parley-suggest-${at}`;
    row.className = "suggest-option";
    row.dataset.at = at;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", "false");
    const text = document.createElement("span");
    text.textContent = one.text;
    row.append(text);
    if (one.detail) {
      const detail = document.createElement("small");
      detail.textContent = ` ${one.detail}`;
      row.append(detail);
    }
    return row;
  }

  // Above the field where that has more room, as under a chat; never wider than the screen.
  function place() {
    const box = (state.field.closest("form") || state.field).getBoundingClientRect();
    const view = window.visualViewport;
    const height = view ? view.height : window.innerHeight;
    const above = box.top - 8;
    const below = height - box.bottom - 8;
    const up = above > below;
    list.style.left = `${Math.max(box.left, 4)}px`;
    list.style.width = `${Math.min(box.width, window.innerWidth - 8, 560)}px`;
    list.style.maxHeight = `${Math.max(Math.min(up ? above : below, 340), 96)}px`;
    list.style.top = up ? "auto" : `${box.bottom + 4}px`;
    list.style.bottom = up ? `${window.innerHeight - box.top + 4}px` : "auto";
  }

  function highlight(at) {
    const many = state.options.length;
    state.at = at < -1 ? many - 1 : at >= many ? -1 : at;
    for (const row of list.querySelectorAll("[role=option]")) {
      const chosen = Number(row.dataset.at) === state.at;
      row.setAttribute("aria-selected", String(chosen));
      if (chosen) row.scrollIntoView({ block: "nearest" });
    }
    if (state.at < 0) state.field.removeAttribute("aria-activedescendant");
    else state.field.setAttribute("aria-activedescendant", `parley-suggest-${state.at}`);
  }

  function accept(at) {
    const one = state.options[at];
    const field = state.field;
    if (!one || !field) return;
    const end = field.selectionEnd;
    const start = end - one.typed.length;
    if (start < 0 || field.value.slice(start, end) !== one.typed) return close();
    const next = field.value.slice(end, end + 1);
    const ends = field.matches(TITLES) || /^[\s.,;:!?)]/.test(next);
    const said = ends ? one.text : `${one.text} `;
    close();
    state.accepting = true;
    field.setRangeText(said, start, end, "end");
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    const { text, kind, item_id } = one;
    const told = { bubbles: true, detail: { text, kind, item_id } };
    field.dispatchEvent(new CustomEvent("parley:suggested", told));
    state.accepting = false;
    field.focus();
  }

  document.addEventListener("focusin", event => {
    if (event.target.matches && event.target.matches(FIELD)) attach(event.target);
  });
  document.addEventListener("focusout", event => {
    if (event.target === state.field) close();
  });
  document.addEventListener("input", event => {
    if (!event.target.matches || !event.target.matches(FIELD) || state.accepting) return;
    attach(event.target);
    if (event.isComposing) return;
    later();
  });
  // Capturing: the field's own handler sends on Enter, and must not see one that accepts.
  document.addEventListener("keydown", event => {
    if (event.target !== state.field || event.isComposing) return;
    const open = state.options.length > 0;
    if (!open) {
      if (event.key === "Enter" && !event.shiftKey) close();  // an answer under way comes too late
      return;
    }
    if (event.key === "ArrowDown") highlight(state.at + 1);
    else if (event.key === "ArrowUp") highlight(state.at - 1);
    else if (event.key === "Escape") close();
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey && state.at >= 0) {
      accept(state.at);
    } else {
      if (event.key === "Enter" || event.key === "Tab" || event.key.startsWith("ArrowLeft")
          || event.key.startsWith("ArrowRight") || event.key === "Home" || event.key === "End") {
        close();
      }
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }, true);
  window.addEventListener("resize", () => { if (state.options.length) place(); });
  window.addEventListener("scroll", () => { if (state.options.length) place(); }, true);
})();

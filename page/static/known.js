// What was understood: opening a chip's editor, reading it, and sending what changed.

import { get } from "./net.js";

const panel = document.getElementById("known");
const count = document.getElementById("count");
const lists = new Map(); // facet -> its <datalist>

/** Show what the server says is understood. `act(action)` runs one thing done here as a turn. */
export function showKnown(html) {
  panel.innerHTML = html;
  count.textContent = panel.querySelectorAll(".chip").length || "";
}

export function listen(act) {
  panel.addEventListener("click", event => {
    const open = event.target.closest("[data-open]");
    const remove = event.target.closest("[data-remove]");
    if (open) toggle(open);
    else if (event.target.closest("[data-cancel]")) shut(event.target.closest(".chip"));
    else if (remove) {
      const places = remove.dataset.remove.split(",").map(Number);
      remove.closest(".chip").classList.add("going");
      act({ do: "remove", kind: remove.dataset.kind, places })
        .catch(() => remove.closest(".chip")?.classList.remove("going"));
    }
  });
  panel.addEventListener("keydown", event => {
    const chip = event.target.closest(".chip");
    if (event.key === "Escape" && chip?.querySelector("form:not([hidden])")) {
      shut(chip);
      event.stopPropagation();
    }
  });
  panel.addEventListener("submit", event => {
    event.preventDefault();
    save(event.target, act);
  });
  panel.addEventListener("input", event => {
    if (event.target.name === "value") suggest(event.target);
  });
  panel.addEventListener("focusin", event => {
    if (event.target.name === "value") suggest(event.target);
  });
  panel.addEventListener("change", event => {
    if (event.target.id === "adventure") {
      act({ do: "adventure", level: Number(event.target.value) }).catch(() => {});
    }
  });
}

function toggle(button) {
  const form = button.closest(".chip").querySelector("form");
  form.hidden = !form.hidden;
  button.setAttribute("aria-expanded", String(!form.hidden));
  if (!form.hidden) form.querySelector("select, input").focus();
}

function shut(chip) {
  chip.querySelector("form").reset();
  chip.querySelector("form").hidden = true;
  const button = chip.querySelector("[data-open]");
  button.setAttribute("aria-expanded", "false");
  button.focus();
}

/** What a fieldset says: the belief it was made from, with what its fields hold now. */
export function read(fieldset) {
  const value = JSON.parse(fieldset.dataset.value);
  const field = name => fieldset.querySelector(`[name="${name}"]`);
  if (field("op")) value.op = field("op").value;
  if (field("number")) value.values = [Number(field("number").value)];
  const boxes = [...fieldset.querySelectorAll('[name="value"]')];
  if (boxes.length) {
    const typed = boxes.filter(box => box.value.trim());
    value.values = typed.map(box => box.type === "number" ? Number(box.value) : box.value.trim());
  }
  if (field("attitude")) value.attitude = field("attitude").value;
  if (field("direction")) value.direction = Number(field("direction").value);
  if (field("text")) value.text = field("text").value.trim();
  return value;
}

async function save(form, act) {
  const problem = form.querySelector(".problem");
  problem.hidden = true;
  const changed = [...form.querySelectorAll("fieldset")].map(one => ({
    kind: one.dataset.kind, place: Number(one.dataset.place), was: one.dataset.value, value: read(one),
  })).filter(one => JSON.stringify(one.value) !== JSON.stringify(JSON.parse(one.was)));
  if (!changed.length) return shut(form.closest(".chip"));
  try {
    for (const { kind, place, value } of changed) {
      if (value.values && !value.values.length) {
        await act({ do: "remove", kind, places: [place] });
      } else {
        await act({ do: "replace", kind, place, value });
      }
    }
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

/** Values of the catalogue for a field of an editor, as the browser's own list. */
async function suggest(input) {
  const box = input.closest(".values");
  const name = box.dataset.field;
  if (input.value && input === box.lastElementChild) {
    const next = input.cloneNode();
    next.value = "";
    box.append(next); // always one empty field to add another value
  }
  if (!lists.has(name)) {
    const list = document.createElement("datalist");
    list.id = `values-${name}`;
    document.body.append(list);
    lists.set(name, list);
  }
  try {
    const { values } = await get("values", { field: name, q: input.value });
    lists.get(name).replaceChildren(...values.map(value => new Option(value)));
  } catch { /* suggestions are an extra: typing goes on without them */ }
}

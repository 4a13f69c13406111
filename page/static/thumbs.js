// Thumbs on replies and cards: which are pressed, and pressing them. A second press takes one back.

import { get, request } from "./net.js";
import { toast } from "./shell.js";

let thread = "";
let held = []; // [{ turn, item_id, kind }] as the server has them

const placeOf = button => ({
  turn: Number(button.closest(".reply").querySelector(".after [data-at]")?.dataset.at ?? -1),
  item_id: button.dataset.item ?? null,
});
const same = (one, other) => one.turn === other.turn && one.item_id === other.item_id;

function mark() {
  for (const button of document.querySelectorAll("[data-thumb]")) {
    const place = placeOf(button);
    const mine = held.find(one => same(one, place));
    button.setAttribute("aria-pressed", String(mine?.kind === button.dataset.thumb));
  }
}

/** Show what this conversation's thumbs are; one that cannot be asked for shows none. */
export async function showThumbs(name) {
  thread = name;
  try {
    const { thumbs } = await get("feedback", { thread: name });
    if (thread !== name) return;
    held = thumbs;
  } catch {
    held = [];
  }
  mark();
}

document.addEventListener("click", async event => {
  const button = event.target.closest("[data-thumb]");
  if (!button || button.getAttribute("aria-disabled") === "true") return;
  const place = placeOf(button);
  if (place.turn < 0) return;
  const again = button.getAttribute("aria-pressed") === "true";
  const body = { thread, ...place, kind: again ? "none" : button.dataset.thumb };
  try {
    held = (await (await request("feedback", { method: "POST", body })).json()).thumbs;
    mark();
  } catch (error) {
    toast(error.message);
  }
});

// Two to four cards ticked: the bar that says so, and the comparison.

import { get } from "./net.js";

const $ = id => document.getElementById(id);
const MOST = 4;
const ticked = new Map(); // item -> title

function draw() {
  const many = ticked.size;
  $("compare-bar").hidden = many === 0;
  $("compare-count").textContent = many === 1
    ? `${[...ticked.values()][0]}. Tick another one to compare.`
    : `${many} chosen${many === MOST ? ", which is as many as fit" : ""}`;
  $("compare-open").disabled = many < 2;
  for (const box of document.querySelectorAll("[data-compare]")) {
    box.checked = ticked.has(box.dataset.compare);
    box.disabled = many >= MOST && !box.checked;
  }
}

export function clearTicks() {
  ticked.clear();
  draw();
}
export const redrawTicks = draw;

document.addEventListener("change", event => {
  const { compare, title } = event.target.dataset;
  if (!compare) return;
  if (event.target.checked) ticked.set(compare, title);
  else ticked.delete(compare);
  draw();
});
$("compare-clear").addEventListener("click", clearTicks);
$("compare-open").addEventListener("click", async () => {
  const body = $("compare-body");
  body.textContent = "One moment …";
  $("compare").showModal();
  try {
    body.innerHTML = (await get("compare", { item: [...ticked.keys()] })).html;
  } catch (error) {
    body.textContent = error.message;
  }
});

// A catalogue's image that cannot be loaded leaves the drawn poster beneath it.
document.addEventListener("error", event => {
  if (event.target instanceof HTMLImageElement && event.target.closest(".tile")) event.target.remove();
}, true);

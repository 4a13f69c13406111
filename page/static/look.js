// The Trace panel: fetched when it is looked at, for the reply that was asked about.

import { get } from "./net.js";

const panel = document.getElementById("trace");
let looking = 0;

/** Show how a reply came about; without `turn`, the newest one. */
export async function showTrace(thread, turn = -1) {
  const mine = ++looking;
  try {
    const { html } = await get("trace", { thread, turn });
    if (mine === looking) panel.innerHTML = html;
  } catch (error) {
    if (mine === looking) panel.textContent = error.message;
  }
}

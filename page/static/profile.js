// The profile: what is kept of this person, changed, imported, carried on, given out, forgotten.

import { Gone, isThread, request } from "./net.js";
import { read } from "./known.js";

const $ = id => document.getElementById(id);
const dialog = $("profile"), kept = $("kept"), problem = $("profile-problem");

/** Ask the server something of the profile and show what is kept now; says what was refused. */
async function ask(path, options) {
  problem.hidden = true;
  try {
    const told = await (await request(path, options)).json();
    if (told.html !== undefined) kept.innerHTML = told.html;
    return told;
  } catch (error) {
    problem.textContent = error instanceof Gone ? "Parley cannot be reached. Try again." : error.message;
    problem.hidden = false;
    return null;
  }
}

$("open-profile").addEventListener("click", async () => {
  $("forget-sure").hidden = true;
  $("profile-told").innerHTML = "";
  $("profile-who").value = localStorage.getItem("parley-name") || "";
  dialog.showModal();
  const told = await ask("profile", {});
  if (told) $("profile-key").value = told.key;
});

kept.addEventListener("click", async event => {
  const one = event.target.closest("button, a");
  if (!one) return;
  const chip = one.closest(".chip");
  if (one.dataset.openThread) dialog.close(); // main.js opens the conversation
  else if (one.dataset.drop) {
    chip.classList.add("going");
    await ask("profile", { method: "DELETE", query: { key: one.dataset.drop } });
    (kept.querySelector("button, summary") || $("profile-export")).focus();
    chip.classList.remove("going");
  } else if (one.dataset.open !== undefined) show(chip, chip.querySelector("form").hidden);
  else if (one.dataset.cancel !== undefined) show(chip, false);
});

function show(chip, open) {
  const form = chip.querySelector("form"), button = chip.querySelector("[data-open]");
  form.hidden = !open;
  button.setAttribute("aria-expanded", String(open));
  if (open) form.querySelector("select, input").focus();
  else { form.reset(); button.focus(); }
}

kept.addEventListener("submit", async event => {
  event.preventDefault();
  const set = event.target.querySelector("fieldset");
  const opinion = set.querySelector('[name="opinion"]');
  const key = event.target.closest(".chip").dataset.key;
  const body = opinion ? { key, opinion: opinion.value } : { key, clause: read(set) };
  await ask("profile", { method: "PUT", body });
});

$("profile-file").addEventListener("change", async event => {
  const file = event.target.files[0];
  if (!file) return;
  $("profile-told").textContent = `Reading ${file.name} …`;
  const told = await ask("profile/import", { method: "POST", query: { name: file.name }, body: file });
  $("profile-told").innerHTML = told ? told.told : "";
  event.target.value = "";
});

// Another person at this browser, or this person at another one: begin with a clean page

function become() {
  localStorage.removeItem("parley-thread");
  location.assign(location.pathname);
}
$("profile-name").addEventListener("submit", event => {
  event.preventDefault();
  const name = $("profile-who").value.trim();
  if (name) localStorage.setItem("parley-name", name);
  else localStorage.removeItem("parley-name");
  become();
});
$("profile-move").addEventListener("submit", event => {
  event.preventDefault();
  const key = $("profile-key").value.trim().toLowerCase();
  if (!isThread(key)) return;
  localStorage.setItem("parley-user", key);
  localStorage.removeItem("parley-name");
  become();
});

$("profile-export").addEventListener("click", async () => {
  problem.hidden = true;
  try {
    const data = await (await request("profile/export")).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(data);
    link.download = "parley-export.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
});

$("profile-forget").addEventListener("click", () => {
  $("forget-sure").hidden = false;
  $("forget-no").focus();
});
$("forget-no").addEventListener("click", () => {
  $("forget-sure").hidden = true;
  $("profile-forget").focus();
});
$("forget-yes").addEventListener("click", async () => {
  if (await ask("profile/forget", { method: "POST" })) become();
});

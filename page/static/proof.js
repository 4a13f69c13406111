// What a name or a claim rests on: shown on hover, focus and tap; Escape puts it away.
//
// One tooltip for all, filled with textContent only. It stays while the pointer is on it, so its
// link can be reached; on the keyboard Enter goes to the link and Escape comes back.

const tip = document.getElementById("tip");
const LEAVE_MS = 180;
let shown = null;
let timer = 0;

function line(tag, text, name = "") {
  const one = document.createElement(tag);
  one.textContent = text;
  if (name) one.className = name;
  return one;
}

function fill(span) {
  const { label, value, source, said, message, link } = span.dataset;
  tip.replaceChildren();
  const list = document.createElement("dl");
  list.style.margin = "0";
  if (label) list.append(line("dt", label));
  if (value) list.append(line("dd", value));
  tip.append(list);
  const from = document.createElement("div");
  from.className = "from";
  from.append(line("b", source || ""));
  if (said) from.append(`: “${said}”${message ? `, message ${Number(message) + 1}` : ""}`);
  tip.append(from);
  if (link) {
    const a = line("a", "Open the source", "from");
    a.href = link;
    a.target = "_blank";
    a.rel = "noopener noreferrer";
    tip.append(a);
  }
}

function show(span) {
  clearTimeout(timer);
  if (shown === span) return;
  hide();
  shown = span;
  fill(span);
  tip.hidden = false;
  span.classList.add("open");
  span.setAttribute("aria-describedby", "tip");
  // The last line of a claim that wraps is the one nearest to the tooltip.
  const boxes = span.getClientRects();
  const box = boxes[boxes.length - 1] || span.getBoundingClientRect();
  const wide = tip.offsetWidth;
  const left = Math.max(10, Math.min(box.left, document.documentElement.clientWidth - wide - 10));
  const below = box.bottom + 8 + tip.offsetHeight < innerHeight - 120 || box.top < tip.offsetHeight + 70;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(below ? box.bottom + 8 : boxes[0].top - tip.offsetHeight - 8) + scrollY}px`;
}

export function hide() {
  clearTimeout(timer);
  if (!shown) return;
  shown.classList.remove("open");
  shown.removeAttribute("aria-describedby");
  shown = null;
  tip.hidden = true;
}

const proofOf = node => node instanceof Element ? node.closest(".proof") : null;
const later = () => { clearTimeout(timer); timer = setTimeout(hide, LEAVE_MS); };

document.addEventListener("pointerover", event => {
  if (event.pointerType === "touch") return;
  const span = proofOf(event.target);
  if (span) show(span);
  else if (tip.contains(event.target)) clearTimeout(timer);
  else if (shown && document.activeElement !== shown) later();
});
document.addEventListener("focusin", event => {
  const span = proofOf(event.target);
  if (span) show(span);
  else if (!tip.contains(event.target)) hide();
});
document.addEventListener("pointerdown", event => {
  const span = proofOf(event.target);
  if (span) show(span);
  else if (!event.target.closest?.("#tip a")) hide(); // on the tooltip too: it covers what is beneath
});
document.addEventListener("keydown", event => {
  if (!shown) return;
  if (event.key === "Escape") {
    const span = shown;
    if (tip.contains(document.activeElement)) span.focus();
    hide();
    event.stopPropagation();
  } else if (event.key === "Enter" && event.target === shown) {
    tip.querySelector("a")?.focus();
  }
});

// The conversation on the page: exchanges as the server wrote them, and one being written.

const talk = document.getElementById("talk");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const SMALL_WORD = "Show these cards again";

let written = []; // the HTML of each exchange, to replace only what changed

function element(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.firstElementChild;
}

/** Put `exchanges` from place `first` on, leaving those before it as they stand. */
export function write(first, exchanges) {
  while (talk.children.length > first + exchanges.length) talk.lastElementChild.remove();
  exchanges.forEach((html, k) => {
    const place = first + k;
    const old = talk.children[place];
    if (old && written[place] === html) return;
    const fresh = element(html);
    if (old?.classList.contains("fresh")) fresh.classList.add("fresh");
    if (old) old.replaceWith(fresh);
    else talk.append(fresh);
    written[place] = html;
  });
  written.length = first + exchanges.length;
  settle();
}

/** The newest slate is shown whole, older ones small, each with a way to open it. */
function settle() {
  const slates = [...talk.querySelectorAll(".slate")];
  slates.forEach((slate, k) => {
    const small = k < slates.length - 1 && !slate.classList.contains("opened");
    slate.classList.toggle("small", small);
    const after = slate.closest(".reply").querySelector(".after");
    const again = after?.querySelector(".again");
    if (small && after && !again) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "mini again";
      button.textContent = SMALL_WORD;
      after.prepend(button);
    } else if (!small) again?.remove();
  });
}

talk.addEventListener("click", event => {
  const slate = event.target.closest(".again")?.closest(".reply").querySelector(".slate");
  if (!slate) return;
  slate.classList.add("opened");
  settle();
  slate.querySelector("a, button")?.focus({ preventScroll: true });
});

/** Begin an exchange: the message at the top of the view, its reply will fill in below. */
export function begin(first, html) {
  while (talk.children.length > first) talk.lastElementChild.remove();
  written.length = Math.min(written.length, first);
  const fresh = element(html || '<section class="exchange"><div class="reply"><div class="said">' +
    '</div><p class="thinking"><i></i><i></i><i></i></p></div></section>');
  fresh.classList.add("fresh", "live");
  talk.append(fresh);
  settle();
  fresh.scrollIntoView({ block: "start", behavior: still.matches ? "auto" : "smooth" });
  return fresh;
}

/** One event of a running turn, into its exchange. */
export function add(exchange, event) {
  const reply = exchange.querySelector(".reply");
  if (event.kind === "slate") {
    reply.querySelector(".said").after(element(event.html));
    settle();
  } else if (event.kind === "sentence") {
    reply.querySelector(".said").append(element(event.html));
  } else if (event.kind === "card") {
    reply.querySelector(".card.waiting")?.replaceWith(element(event.html));
  } else if (event.kind === "failed") {
    for (const empty of reply.querySelectorAll(".card.waiting")) empty.remove();
    reply.append(element(event.html));
  }
  reply.querySelector(".thinking")?.remove(); // there is something to read now
}

/** Show a message of the conversation, and let it be seen which one it is. */
export function goTo(message) {
  const said = document.getElementById(`message-${message}`);
  if (!said) return;
  said.scrollIntoView({ block: "center", behavior: still.matches ? "auto" : "smooth" });
  said.classList.remove("flash");
  void said.offsetWidth; // so that the animation starts anew
  said.classList.add("flash");
  said.focus({ preventScroll: true });
}

export const isEmpty = () => talk.childElementCount === 0;
export const toEnd = () => window.scrollTo({ top: document.documentElement.scrollHeight });

// Talking to our own server: who asks, one request, and one stream of events.
//
// A browser is known by a random name it made up itself; the server keeps conversations apart
// by it. It travels in a header, never in an address, so it is in no log and no other site can
// send it.

const hex = () => [...crypto.getRandomValues(new Uint8Array(16))]
  .map(byte => byte.toString(16).padStart(2, "0")).join("");

export const newThread = hex;
export const isThread = name => /^[0-9a-f]{32}$/.test(name || "");

export function user() {
  let name = localStorage.getItem("parley-user");
  if (!isThread(name)) {
    name = hex();
    localStorage.setItem("parley-user", name);
  }
  return name;
}

/** The server could not be reached at all: another matter than an answer that says no. */
export class Gone extends Error {}

/** One request. Resolves to the response; throws Gone, or an Error in the server's words. */
export async function request(path, { method = "GET", query = {}, body, signal } = {}) {
  const address = new URL(`parley/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) address.searchParams.append(name, one);
  }
  const headers = { "X-Parley-User": user() };
  const name = localStorage.getItem("parley-name");
  if (name) headers["X-Parley-Name"] = encodeURIComponent(name);
  if (body instanceof Blob) headers["Content-Type"] = "application/octet-stream";
  else if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address, { method, headers, signal, body: body instanceof Blob ? body : body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone("Parley cannot be reached.");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    const refused = new Error(told.error || `The server answered ${answer.status}.`);
    refused.status = answer.status;
    if (answer.status >= 502) throw new Gone(refused.message);
    throw refused;
  }
  return answer;
}

export const get = async (path, query) => (await request(path, { query })).json();

/** Reads a stream of JSON lines; throws Gone if it breaks off before "done" or "failed". */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  try {
    while (true) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.filter(Boolean)) {
        const event = JSON.parse(line);
        ended = event.kind === "done" || event.kind === "failed";
        yield event;
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone("The connection was lost.");
  }
  if (!ended) throw new Gone("The connection was lost.");
}

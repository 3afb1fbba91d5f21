// What every page does: theme, copying, asking the API for something, tables that stay up to date.

const THEMES = ["auto", "light", "dark"];
const SOON = 2000;
const LATER = 15000;

/** Say something to everybody, also to those who cannot see it. */
export function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (said.textContent = ""), 8000);
}

/** Ask the API; gives the answer's JSON (null if it has none), or throws an Error with the service's sentence. */
export async function ask(method, address, body) {
  const headers = { accept: "application/json" };
  if (method === "POST") {
    headers["idempotency-key"] = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16)).join("-");
  }
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("The service does not answer.");
  }
  const said = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return said;
  const more = (said?.errors ?? []).map((e) => `${e.pointer.slice(1).replaceAll("/", ".")}: ${e.detail}`);
  throw new Error([said?.detail ?? `The service answered ${answer.status}.`, ...more].join(" "));
}

/** Part of a page as it is now, as an element; null if it cannot be had. */
export async function fragment(address) {
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (!answer.ok) return null;
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    return parsed.body;
  } catch {
    return null;
  }
}

/** Give `old` the children of `fresh`, touching only what differs: what is focused, ticked or open stays so. */
export function morph(old, fresh) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  const passed = () => {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  };
  for (const next of [...fresh.childNodes]) {
    // White space between elements is not always the same.
    while (next.nodeType === Node.ELEMENT_NODE && at?.nodeType === Node.TEXT_NODE) passed();
    const same = next.id ? known.get(next.id) : at && !at.id && at.nodeName === next.nodeName ? at : null;
    if (!same) {
      old.insertBefore(next, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    if (!same.isEqualNode(next)) become(same, next);
  }
  while (at) passed();
}

function become(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morph(old, fresh);
}

function themes() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const show = () => (button.querySelector("span").textContent = root.dataset.theme ?? "auto");
  button.hidden = false;
  show();
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      // See theme.js.
    }
    show();
    document.dispatchEvent(new Event("theme"));
  });
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(text.textContent);
    say("Copied.");
  } catch {
    getSelection().selectAllChildren(text);
    say("Selected: Ctrl-C copies it.");
  }
}

async function act(button) {
  const { post, then, confirm: question } = button.dataset;
  if (question && !confirm(question)) return;
  button.disabled = true;
  try {
    const made = await ask(post ? "POST" : "DELETE", post ?? button.dataset.delete);
    if (!post) location.assign("/");
    else if (then) location.assign(then + (then.endsWith("experiments/") ? made.id : ""));
    else document.dispatchEvent(new Event("asked"));
  } catch (error) {
    say(error.message);
  } finally {
    button.disabled = false;
  }
}

async function extend(form) {
  const words = form.elements.set.value.trim();
  const body = { epochs: Number(form.elements.epochs.value), set: words ? words.split(/\s+/) : [] };
  try {
    const made = await ask("POST", form.dataset.extend, body);
    location.assign(`/experiments/${made.id}`);
  } catch (error) {
    form.querySelector(".error").textContent = error.message;
  }
}

/** A table that is asked for again and again: soon while something in it is under way, later if not. */
function keep(table) {
  const busy = ".queued, .running, .pausing, .cancelling";
  const again = async () => {
    if (!document.hidden) {
      const fresh = await fragment(table.dataset.live);
      // The address is that of the table alone, or of a whole page with it.
      if (fresh) morph(table, fresh.querySelector(`#${table.id}`) ?? fresh);
    }
    setTimeout(again, table.querySelector(busy) ? SOON : LATER);
  };
  setTimeout(again, SOON);
}

/** The button that compares says how many are ticked. */
function choosing(form) {
  const button = form.querySelector("#compare");
  const count = () => {
    const many = form.querySelectorAll("input[name=id]:checked").length;
    button.textContent = many ? `Compare ${many}` : "Compare the chosen";
  };
  form.addEventListener("change", count);
  count();
}

themes();
for (const button of document.querySelectorAll(".copy")) button.hidden = false;
for (const table of document.querySelectorAll("#rows[data-live]")) keep(table);
for (const form of document.querySelectorAll("#chosen:has(#compare)")) choosing(form);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches("[data-copy]")) copy(button);
  else if (button?.matches("[data-post], [data-delete]")) act(button);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-extend]")) return;
  event.preventDefault();
  extend(event.target);
});

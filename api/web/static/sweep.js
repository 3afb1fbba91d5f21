// A new sweep: what is written is read as it is written, and submitted.

import { ask, say } from "./page.js";

const form = document.getElementById("sweep");
const text = document.getElementById("text");
let asking = null;
let timer;

/** Ask what the text means; null if a newer question has overtaken this one. */
async function read() {
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await fetch("/sweeps/read", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text: text.value }),
      signal: asking.signal,
    });
    const said = await answer.json();
    show(said);
    return said;
  } catch (error) {
    if (error.name !== "AbortError") document.getElementById("verdict").textContent = "The service does not answer.";
    return null;
  }
}

function show({ wrong, facts }) {
  const list = (lines) =>
    lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    });
  document.getElementById("verdict").textContent = wrong.length ? "This is no sweep yet." : "This can be run.";
  document.getElementById("wrong").replaceChildren(...list(wrong));
  document.getElementById("facts").replaceChildren(...list(facts));
  text.toggleAttribute("aria-invalid", wrong.length > 0);
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(read, 300);
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = await read();
  if (!said || said.wrong.length) {
    text.focus();
    return;
  }
  try {
    const made = await ask("POST", "/api/v1/sweeps", said.definition);
    location.assign(`/sweeps/${made.id}`);
  } catch (error) {
    say(error.message);
  }
});
read();

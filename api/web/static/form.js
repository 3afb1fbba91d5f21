// The form of a new experiment: the fields of the chosen kinds, what is wrong as it is written, and submitting.

import { ask, say } from "./page.js";

const form = document.getElementById("spec");
const written = new Map();
let checked = null;
let asking = null;
let timer;

/** Show the fields of the chosen kind of a part; what was written in fields of the same name stays. */
function choose(part) {
  const kind = part.querySelector("select").value;
  const template = part.querySelector(`template[data-kind="${kind}"]`);
  const fields = part.querySelector(".fields");
  fields.replaceChildren(template.content.cloneNode(true));
  part.querySelector(".hint").innerHTML = template.dataset.meaning; // written by the service, escaped
  for (const input of fields.querySelectorAll("[name]")) {
    if (!written.has(input.name)) continue;
    if (input.type === "checkbox") input.checked = written.get(input.name) === "on";
    else input.value = written.get(input.name);
  }
}

/** Fields of an object that is not there are not shown. */
function within() {
  for (const field of form.querySelectorAll("[data-within]")) {
    field.hidden = !form.elements[field.dataset.within]?.checked;
  }
}

function words() {
  const fields = [...form.querySelectorAll("[name]:not([name=copies])")];
  return Object.fromEntries(fields.map((f) => [f.name, f.type === "checkbox" ? (f.checked ? "on" : "") : f.value]));
}

/** Ask what the words mean; only the newest question is answered. */
async function check() {
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await fetch("/new/check", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(words()),
      signal: asking.signal,
    });
    checked = await answer.json();
    show(checked);
  } catch (error) {
    if (error.name === "AbortError") return;
    checked = null;
    document.getElementById("verdict").textContent = "The service does not answer.";
  }
}

/** The field that a path names, or the one that holds it. */
function fieldOf(path) {
  for (let steps = path.split("."); steps.length; steps.pop()) {
    const found = form.querySelector(`[name="${steps.join(".")}"]`);
    if (found) return found;
  }
  return null;
}

function show({ wrong, title, facts, standing, snippets }) {
  for (const text of form.querySelectorAll(".field .error")) text.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  const list = wrong.map(({ path, detail }) => {
    const input = fieldOf(path);
    if (input) mark(input, detail);
    return line(path, detail, input);
  });
  document.getElementById("wrong").replaceChildren(...list);
  const many = wrong.length === 1 ? "1 field is wrong." : `${wrong.length} fields are wrong.`;
  document.getElementById("verdict").textContent = wrong.length ? many : "This can be run.";
  document.getElementById("spec-title").textContent = title || "Spec";
  document.getElementById("facts").replaceChildren(...facts.map((fact) => item(fact)));
  const known = document.getElementById("standing");
  known.hidden = !standing;
  known.querySelector("a").href = standing ? `/experiments/${standing}` : "";
  for (const [name, text] of Object.entries(snippets)) document.getElementById(`copy-${name}`).textContent = text;
}

function mark(input, detail) {
  input.setAttribute("aria-invalid", "true");
  input.closest("details")?.setAttribute("open", "");
  document.getElementById(`e-${input.name.replaceAll(".", "-")}`).textContent = detail;
}

function item(text) {
  const made = document.createElement("li");
  made.textContent = text;
  return made;
}

function line(path, detail, input) {
  const made = item(` ${detail}`);
  if (!path) return made;
  const name = document.createElement(input ? "a" : "b");
  name.textContent = path;
  if (input) name.href = `#${input.id}`;
  made.prepend(name);
  return made;
}

async function submit() {
  clearTimeout(timer);
  await check();
  if (!checked) return;
  if (checked.wrong.length) {
    (form.querySelector("[aria-invalid]") ?? document.getElementById("verdict")).focus();
    return;
  }
  const rerun = document.getElementById("rerun").checked;
  const button = document.getElementById("submit");
  button.disabled = true;
  try {
    const made = await ask("POST", `/api/v1/experiments?rerun=${rerun}`, checked.spec);
    location.assign(`/experiments/${made.id}`);
  } catch (error) {
    say(error.message);
    button.disabled = false;
  }
}

for (const part of form.querySelectorAll("[data-axis]")) {
  choose(part);
  part.querySelector("select").addEventListener("change", () => choose(part));
}
form.addEventListener("input", (event) => {
  const { name, type, checked: on, value } = event.target;
  if (name) written.set(name, type === "checkbox" ? (on ? "on" : "") : value);
  clearTimeout(timer);
  timer = setTimeout(check, 200);
});
form.addEventListener("change", () => within());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
within();
check();

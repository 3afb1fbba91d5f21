// Keeps the page of an experiment up to date: by its stream of events, or by asking again where there is no stream.

import { ask, fragment, morph, say } from "./page.js";
import { offer, redraw } from "./plots.js";

const PAUSE = 1000;
const LOG_CHARACTERS = 400_000;
const FINAL = ["succeeded", "failed", "cancelled"];

const experiment = document.getElementById("experiment");
const here = `/api/v1/experiments/${experiment.dataset.id}`;
const log = document.getElementById("log");
let end = Number(experiment.dataset.logEnd);
let said = "";

/** At most one run of `work` a pause; what is asked in between is done at its end. */
function paced(work) {
  let resting = false;
  let asked = false;
  const run = async () => {
    if (resting) {
      asked = true;
      return;
    }
    resting = true;
    await work();
    setTimeout(() => {
      resting = false;
      if (asked) {
        asked = false;
        run();
      }
    }, PAUSE);
  };
  return run;
}

const status = paced(async () => {
  const fresh = await fragment(`/experiments/${experiment.dataset.id}/status`);
  if (fresh) morph(document.getElementById("status"), fresh);
});

const plots = paced(async () => {
  redraw(["nc", "curves", "last-layer-grid"]);
  const { items } = await ask("GET", `${here}/plots`).catch(() => ({ items: [] }));
  for (const { name, epochs } of items) {
    const figure = document.querySelector(`figure[data-plot="${name}"]`);
    if (figure && epochs) offer(figure, epochs);
  }
});

/** Tell those who listen: a new state at once, progress at every tenth. */
function announce({ state, epoch, epochs, reason }) {
  const tenths = Math.floor((10 * epoch) / epochs);
  if (said === `${state} ${tenths}`) return;
  said = `${state} ${tenths}`;
  const why = reason ? ` ${reason.message}` : "";
  document.getElementById("announced").textContent = `${state}, epoch ${epoch} of ${epochs}.${why}`;
  const name = document.querySelector("h1").textContent;
  document.title = FINAL.includes(state) ? `${state}: ${name} · ncmix` : `${epoch}/${epochs} ${name} · ncmix`;
}

/** Add output that begins at byte `offset` of the log; what is there already is left out. */
function append({ offset, text }) {
  const bytes = new TextEncoder().encode(text);
  if (offset + bytes.length <= end) return;
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  const fresh = offset < end ? new TextDecoder().decode(bytes.subarray(end - offset)) : text;
  end = offset + bytes.length;
  log.textContent = (log.textContent + fresh).slice(-LOG_CHARACTERS);
  if (follows) log.scrollTop = log.scrollHeight;
}

function changed(now) {
  announce(now);
  status();
}

function stream() {
  const source = new EventSource(`${here}/stream?after=${experiment.dataset.seen}`);
  const on = (kind, take) => source.addEventListener(kind, (event) => take(JSON.parse(event.data)));
  on("experiment", changed);
  on("metrics", plots);
  on("log", append);
  on("end", ({ state }) => {
    source.close();
    if (state === "deleted") {
      say("It was deleted.");
      return;
    }
    status();
    plots();
  });
  source.addEventListener("error", () => {
    // A lost connection is taken up again by the browser; one that was refused is not.
    if (source.readyState === EventSource.CLOSED) poll();
  });
}

async function poll() {
  try {
    const now = await ask("GET", here);
    changed(now);
    plots();
    const more = await fetch(`${here}/log?offset=${end}`);
    if (more.ok) append({ offset: end, text: await more.text() });
    if (FINAL.includes(now.state)) return;
  } catch {
    // It is asked again.
  }
  setTimeout(poll, PAUSE);
}

log.scrollTop = log.scrollHeight;
document.addEventListener("asked", status);
if (document.getElementById("state").dataset.live) stream();

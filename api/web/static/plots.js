// Draws the plots of a page with Plotly: when they come into view, and again when data, theme, epoch or width change.

/* global Plotly */

// Pixels by which a width has to change for panels to be arranged anew.
const STEP = 40;
const CONFIG = { responsive: true, displayModeBar: false };

const dark = matchMedia("(prefers-color-scheme: dark)");
const seen = new Set();
const busy = new WeakMap();

function theme() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

/** Draw a figure as it is now. Asked while it draws, it draws once more afterwards. */
export async function draw(figure) {
  if (busy.has(figure)) {
    busy.set(figure, true);
    return;
  }
  busy.set(figure, false);
  try {
    show(figure, await made(figure));
  } finally {
    const again = busy.get(figure);
    busy.delete(figure);
    if (again) draw(figure);
  }
}

/** Draw again the figures that have been in view, of these plots, or of all. */
export function redraw(names) {
  for (const figure of seen) if (!names || names.includes(figure.dataset.plot)) draw(figure);
}

/** The epochs at which a plot can be had; a slider that stood at the newest goes along. */
export function offer(figure, epochs) {
  const slider = figure.querySelector("input[type=range]");
  if (!slider || slider.dataset.epochs === epochs.join(",")) return;
  const at = chosen(figure);
  const last = slider.value === slider.max;
  slider.dataset.epochs = epochs.join(",");
  slider.max = Math.max(0, epochs.length - 1);
  slider.value = last ? slider.max : Math.max(0, epochs.indexOf(at));
  slider.closest(".slider").hidden = epochs.length < 2;
  label(figure);
  if (seen.has(figure)) draw(figure);
}

function epochs(figure) {
  const text = figure.querySelector("input[type=range]")?.dataset.epochs;
  return text ? text.split(",").map(Number) : [];
}

function chosen(figure) {
  return epochs(figure)[figure.querySelector("input[type=range]")?.value];
}

function label(figure) {
  const epoch = chosen(figure);
  const slider = figure.querySelector("input[type=range]");
  figure.querySelector("output").textContent = epoch ?? "";
  slider.setAttribute("aria-valuetext", `epoch ${epoch ?? "none"}`);
}

/** What is asked for beside the experiments: theme, epoch, and what the page says. */
function query(figure) {
  const asked = new URLSearchParams(figure.dataset.query);
  const epoch = chosen(figure);
  if (epoch !== undefined && epoch !== epochs(figure).at(-1)) asked.set("epoch", epoch);
  if (theme() === "dark") asked.set("theme", "dark");
  return asked;
}

function steps(figure) {
  return Math.floor(figure.clientWidth / STEP);
}

async function made(figure) {
  const asked = query(figure);
  for (const link of figure.querySelectorAll("[data-file]")) link.search = asked;
  if (figure.dataset.ids) asked.set("ids", figure.dataset.ids);
  asked.set("window", Math.max(100, steps(figure) * STEP));
  try {
    const answer = await fetch(`/figures/${figure.dataset.plot}?${asked}`);
    const said = await answer.json();
    return answer.ok ? said : { empty: said.detail };
  } catch {
    return { empty: "The service does not answer." };
  }
}

function show(figure, { data, layout, note, empty }) {
  const canvas = figure.querySelector(".canvas");
  canvas.classList.toggle("nothing", Boolean(empty));
  if (empty) {
    if (canvas.classList.contains("js-plotly-plot")) Plotly.purge(canvas);
    canvas.textContent = empty;
    return;
  }
  if (!canvas.classList.contains("js-plotly-plot")) canvas.textContent = "";
  Plotly.react(canvas, data.map(light), framed(layout, legend(data, canvas.clientWidth)), CONFIG);
  remark(figure, note);
}

/** The page's own background and letters; a zoom stays when data come. */
function framed(layout, more) {
  const above = 52;
  return {
    ...layout,
    height: layout.height - layout.margin.t + above + more,
    margin: { ...layout.margin, t: above, b: layout.margin.b + more, l: 52, r: 12 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...layout.font, family: getComputedStyle(document.body).fontFamily },
    uirevision: "kept",
  };
}

/** Pixels that the legend needs beyond those of a window of a thousand, for which the layout was made. */
function legend(data, width) {
  const names = data.filter((trace) => trace.name && trace.showlegend !== false).map((trace) => trace.name.length);
  const each = 40 + 6 * Math.max(0, ...names);
  const lines = (wide) => Math.ceil(names.length / Math.max(1, Math.floor(wide / each)));
  return 22 * Math.max(0, lines(width - 64) - lines(1000));
}

/** WebGL would need code made from strings, which the page forbids; no more points come than go without it. */
function light(trace) {
  return trace.type === "scattergl" ? { ...trace, type: "scatter" } : trace;
}

function remark(figure, note) {
  const caption = figure.querySelector("figcaption");
  const said = caption.querySelector(".note") ?? caption.appendChild(document.createElement("p"));
  said.className = "note";
  said.textContent = note ?? "";
}

const views = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || seen.has(target)) continue;
      seen.add(target);
      views.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "200px" },
);

const widths = new Map();
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (widths.get(target) !== steps(target) && seen.has(target)) draw(target);
    widths.set(target, steps(target));
  }
});

for (const figure of document.querySelectorAll("figure.plot")) {
  views.observe(figure);
  sizes.observe(figure);
  figure.querySelector("input[type=range]")?.addEventListener("input", () => {
    label(figure);
    draw(figure);
  });
  if (figure.querySelector("input[type=range]")) label(figure);
}
document.addEventListener("theme", () => redraw());
dark.addEventListener("change", () => redraw());

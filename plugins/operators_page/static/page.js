// What the page does in the browser: it follows Airflow's theme, draws plots, and leads links into Airflow out of the frame.
"use strict";

const outer = (() => {
  try {
    return window.parent !== window ? window.parent.document : null;
  } catch {
    return null; // framed by somebody else
  }
})();

function followTheme() {
  const root = outer?.documentElement;
  if (!root) return;
  const take = () => {
    const theme = root.classList.contains("dark") ? "dark" : root.classList.contains("light") ? "light" : null;
    if (theme) document.documentElement.dataset.theme = theme;
    drawAll();
  };
  new MutationObserver(take).observe(root, { attributes: true, attributeFilter: ["class"] });
  take();
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function themed(figure) {
  const [text, line] = [colour("text"), colour("line")];
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true };
  const layout = {
    ...figure.layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, family: getComputedStyle(document.body).fontFamily, size: 12 },
    colorway: [1, 2, 3, 4, 5].map((number) => colour(`series-${number}`)),
    xaxis: { ...axis, ...figure.layout.xaxis },
    yaxis: { ...axis, ...figure.layout.yaxis },
    shapes: (figure.layout.shapes ?? []).map((shape) => ({ ...shape, line: { ...shape.line, color: colour("limit") } })),
    hoverlabel: { bgcolor: colour("raised"), bordercolor: line, font: { color: text } },
  };
  return { data: figure.data, layout };
}

function draw(canvas) {
  const { data, layout } = themed(JSON.parse(canvas.dataset.figure));
  window.Plotly.react(canvas, data, layout, { responsive: true, displayModeBar: false });
}

function drawAll() {
  if (!window.Plotly) return;
  for (const canvas of document.querySelectorAll(".canvas[data-figure]")) draw(canvas);
}

// The frame may not navigate its parent, but it may ask Airflow's own document to.
function leadOut(event) {
  const link = event.target.closest?.("a[data-airflow]");
  if (!link || !outer || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const there = outer.createElement("a");
  there.href = link.href;
  outer.body.append(there);
  there.click();
  there.remove();
}

// A form is sent once, however often its button is pressed.
function sendOnce(event) {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button")) setTimeout(() => (button.disabled = true));
}

followTheme();
document.addEventListener("DOMContentLoaded", () => {
  drawAll();
  document.addEventListener("click", leadOut);
  document.addEventListener("submit", sendOnce);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
});
window.addEventListener("pageshow", (event) => event.persisted && window.location.reload());

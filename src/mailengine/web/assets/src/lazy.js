// Charts and editors are chunks of their own, fetched by the pages that have one.
export function loadWhatThePageNeeds(root) {
  const charts = root.querySelectorAll("canvas[data-chart]:not([data-drawn])");
  if (charts.length) import("./chart.js").then(({ draw }) => charts.forEach(draw));
  const editors = root.querySelectorAll("[data-editor]:not([data-started])");
  if (editors.length) import("./editor.js").then(({ start }) => editors.forEach(start));
}

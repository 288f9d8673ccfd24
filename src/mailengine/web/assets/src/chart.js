// Lines over time. The figures stand in the canvas's data-chart as JSON {labels, series: [{label, values}]}; the table
// beside it says the same to those who cannot see it. Colours are the page's tokens.
import { CategoryScale, Chart, Filler, Legend, LinearScale, LineController, LineElement, PointElement, Tooltip } from "chart.js";

Chart.register(CategoryScale, Filler, Legend, LinearScale, LineController, LineElement, PointElement, Tooltip);

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
// light-dark() is resolved only for real colour properties.
function colour(canvas, name) {
  canvas.style.color = token(name);
  const found = getComputedStyle(canvas).color;
  canvas.style.color = "";
  return found;
}

export function draw(canvas) {
  canvas.dataset.drawn = "";
  const { labels, series } = JSON.parse(canvas.dataset.chart);
  const lines = ["--accent", "--success", "--accent-purple", "--warning"].map((name) => colour(canvas, name));
  const muted = colour(canvas, "--text-muted");
  const grid = colour(canvas, "--border");
  const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  new Chart(canvas, {
    type: "line",
    data: {
      labels: labels.map((at) => short.format(new Date(at))),
      datasets: series.map((one, index) => ({
        label: one.label,
        data: one.values,
        borderColor: lines[index],
        backgroundColor: lines[index],
        borderWidth: 2,
        pointRadius: labels.length > 40 ? 0 : 2,
        tension: 0.3,
      })),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { ticks: { color: muted, maxTicksLimit: 8, maxRotation: 0 }, grid: { display: false }, border: { color: grid } },
        y: { beginAtZero: true, ticks: { color: muted, precision: 0 }, grid: { color: grid }, border: { display: false } },
      },
      plugins: { legend: { labels: { color: muted, usePointStyle: true, boxHeight: 6 } } },
    },
  });
}

// Rows of a table that are ticked: the box in its head ticks all of the page, the bar says how many, or that it is all
// that the filter matches (P0-05).
export function selectRows() {
  document.addEventListener("change", (event) => {
    const all = event.target.closest("[data-select-all]");
    if (all) for (const box of boxes()) box.checked = all.checked;
    const row = event.target.matches('input[name="ids"]');
    const matching = document.querySelector("[data-select-matching]");
    if (matching && (row || all) && !event.target.checked) matching.checked = false;
    if (all || row || event.target === matching) count();
  });
  document.addEventListener("htmx:after:swap", count);
}

const boxes = () => document.querySelectorAll('#list input[name="ids"]');

function count() {
  const chosen = [...boxes()].filter((box) => box.checked).length;
  const matching = document.querySelector("[data-select-matching]:checked");
  const text = matching ? matching.parentElement.querySelector("[data-matching-count]").textContent : chosen.toLocaleString();
  for (const place of document.querySelectorAll("[data-selected-count]")) place.textContent = text;
  for (const all of document.querySelectorAll("[data-select-all]")) {
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }
}

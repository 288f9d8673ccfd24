// Rows of a table that are ticked: the box in its head ticks all of the page, the bar says how many (P0-05).
export function selectRows() {
  document.addEventListener("change", (event) => {
    const all = event.target.closest("[data-select-all]");
    if (all) for (const box of boxes()) box.checked = all.checked;
    if (all || event.target.matches('input[name="ids"]')) count();
  });
  document.addEventListener("htmx:after:swap", count);
}

const boxes = () => document.querySelectorAll('#list input[name="ids"]');

function count() {
  const chosen = [...boxes()].filter((box) => box.checked).length;
  for (const place of document.querySelectorAll("[data-selected-count]")) place.textContent = chosen.toLocaleString();
  for (const all of document.querySelectorAll("[data-select-all]")) {
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }
}

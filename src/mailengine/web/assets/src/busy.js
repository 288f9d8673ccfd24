// Every submit shows a spinner on its button and cannot be pressed twice (P0-07).
export function showBusyOnSubmit() {
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || event.defaultPrevented) return;
    button.setAttribute("aria-busy", "true");
  });
  // Back from the browser's page cache the button must be usable again.
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
  });
}

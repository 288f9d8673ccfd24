// Every submit shows a spinner on its button and cannot be pressed twice (P0-07).
export function showBusyOnSubmit() {
  document.addEventListener("submit", (event) => {
    // A form whose answer is a file leaves the page as it is, and nothing tells when it came.
    if (!event.target.matches("[data-download]")) event.submitter?.setAttribute("aria-busy", "true");
  });
  // After an answer that left the page as it is (an error), and back from the browser's page cache, the button must
  // be usable again.
  document.addEventListener("htmx:finally:request", rest);
  window.addEventListener("pageshow", rest);
}

function rest() {
  for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
}

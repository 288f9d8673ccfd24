// What is typed into a template's editor goes to the frame beside it: a form of its own posts it there, because the
// frame is a page with a policy of its own, which a srcdoc would not be.
const PAUSE_MS = 400;

export function previewWhileTyping() {
  let waiting;
  document.addEventListener("input", (event) => {
    if (event.target.name !== "html" || !event.target.closest("[data-template-form]")) return;
    clearTimeout(waiting);
    waiting = setTimeout(show, PAUSE_MS);
  });
  document.addEventListener("click", (event) => {
    const tag = event.target.closest("[data-insert]");
    if (!tag) return;
    document.querySelector("[data-editor]")?.dispatchEvent(new CustomEvent("insert", { detail: tag.dataset.insert }));
  });
}

export function show() {
  const form = document.getElementById("preview-form");
  const area = document.querySelector("[data-template-form] textarea[name=html]");
  if (!form || !area) return;
  form.elements.html.value = area.value;
  form.submit();
}

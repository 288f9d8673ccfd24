// basecoat's own toast builder writes its texts as HTML; these are set as text.
export function toast(category, title) {
  const toaster = document.getElementById("toaster");
  const template = document.getElementById(`toast-${category}`);
  if (!toaster || !template) return;
  const element = template.content.firstElementChild.cloneNode(true);
  element.querySelector("h2").textContent = title;
  toaster.append(element);
}

// What is beside an open dialog is behind its veil, and silent to screen readers: while one is open, toasts are in it.
export function keepToastsInSight() {
  document.addEventListener("htmx:after:swap", place);
  document.addEventListener("close", place, { capture: true });
}

function place() {
  const toaster = document.getElementById("toaster");
  const where = document.querySelector("dialog[open]") ?? document.getElementById("app");
  if (toaster && where && toaster.parentElement !== where && (toaster.children.length || where.id === "app")) where.append(toaster);
}

// basecoat's own toast builder writes its texts as HTML; these are set as text.
export function toast(category, title) {
  const toaster = document.getElementById("toaster");
  const template = document.getElementById(`toast-${category}`);
  if (!toaster || !template) return;
  const element = template.content.firstElementChild.cloneNode(true);
  element.querySelector("h2").textContent = title;
  toaster.append(element);
}

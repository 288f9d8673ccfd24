// <button command commandfor> opens and closes dialogs by itself in new browsers; here is the same for others. A click
// beside a dialog closes it.
const native = "commandForElement" in HTMLButtonElement.prototype;

export function openDialogs() {
  document.addEventListener("click", (event) => {
    if (event.target instanceof HTMLDialogElement) event.target.close();
    const button = native ? null : event.target.closest("button[commandfor]");
    const dialog = button && document.getElementById(button.getAttribute("commandfor"));
    if (!dialog) return;
    if (button.getAttribute("command") === "show-modal") dialog.showModal();
    else dialog.close();
  });
}

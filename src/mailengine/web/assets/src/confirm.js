// A form with data-confirm asks in the page's dialog before it is sent (molecules/confirm.html).
const accepted = new WeakSet();

export function askBeforeSubmit() {
  // While capturing: before htmx, which listens on the form itself.
  document.addEventListener("submit", ask, { capture: true });
}

// How many rows a form of bulk_bar is about.
const selected = (form) => form.querySelector("[data-selected-count]")?.textContent ?? "";

function ask(event) {
  const { target: form, submitter } = event;
  const words = submitter?.dataset.confirm ? submitter.dataset : form.dataset;
  const dialog = document.getElementById("confirm");
  if (!words.confirm || !dialog || accepted.delete(form)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  dialog.querySelector("#confirm-title").textContent = words.confirm.replace("{selected}", selected(form));
  dialog.querySelector("#confirm-text").textContent = words.confirmText ?? "";
  const accept = dialog.querySelector("[data-accept]");
  accept.textContent = words.confirmLabel ?? "Go on";
  accept.dataset.variant = words.confirmTone ?? "danger";
  accept.onclick = () => {
    dialog.close();
    accepted.add(form);
    form.requestSubmit(submitter);
  };
  dialog.querySelector("[data-dismiss]").onclick = () => dialog.close();
  dialog.showModal();
}

// A piece of a form that the server sends was made from what stood there when it was asked for. What has been typed
// since stays, and is told to the server in its turn. For pieces marked with data-keep-typing.
export function keepTyping() {
  let typed = null;
  document.addEventListener("htmx:before:swap", () => {
    const { activeElement: at } = document;
    const text = at?.closest("[data-keep-typing]") && at.matches("textarea, input:not([type=checkbox])");
    typed = text ? { id: at.id, value: at.value } : null;
  });
  document.addEventListener("htmx:after:swap", () => {
    const at = typed && document.getElementById(typed.id);
    if (!at || at.value === typed.value) return;
    at.value = typed.value;
    at.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

import { toast } from "./toast.js";

// A button with data-copy puts that text onto the clipboard; without https a browser has none, so it says so.
export function copyOnClick() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      toast("success", "Copied");
    } catch {
      toast("error", "The browser did not allow it: select the text and copy it yourself.");
    }
  });
}

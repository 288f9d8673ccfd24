// What a browser does by itself when it loads a page, for pages that htmx exchanges.
export function keepPlace() {
  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx } = event.detail;
    // An answer that is no page of the app (the login, say) is gone to instead of being cut to nothing.
    if (ctx.select === "#app" && !ctx.text.includes('id="app"')) {
      event.preventDefault();
      location.assign(ctx.response.raw.url);
    }
  });
  showEntry();
  document.addEventListener("htmx:after:swap", showEntry);
  document.addEventListener("htmx:after:history:push", () => {
    const inside = document.activeElement?.closest("#content");
    if (!inside) document.getElementById("content")?.focus({ preventScroll: true });
  });
}

// The sidebar's entry of this page, where the window is too low for all of them.
function showEntry() {
  document.querySelector(".nav-link[aria-current]")?.scrollIntoView({ block: "nearest" });
}

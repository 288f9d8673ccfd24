// system → light → dark → system. The choice is kept in a cookie, so that the server writes it on <html>
// and no page flashes in the other theme while it loads.
const NEXT = { system: "light", light: "dark", dark: "system" };
const YEAR_SECONDS = 365 * 24 * 3600;

function apply(choice) {
  const root = document.documentElement;
  if (choice === "system") delete root.dataset.theme;
  else root.dataset.theme = choice;
  const age = choice === "system" ? 0 : YEAR_SECONDS;
  document.cookie = `theme=${choice}; path=/; max-age=${age}; samesite=lax`;
}

export function startThemeSwitch() {
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    apply(NEXT[document.documentElement.dataset.theme ?? "system"]);
  });
}

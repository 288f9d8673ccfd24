import tailwindcss from "@tailwindcss/vite";
import { transform } from "lightningcss";
import { defineConfig } from "vite";

// Parts of basecoat that no page uses. Its style sheet is one file for all of them, so they are taken out again:
// whoever uses one of these takes its name off the list.
const UNUSED = new Set(
  ["accordion", "alert", "alert-dialog", "avatar", "button-group", "card", "carousel", "chart", "collapsible", "combobox",
    "command", "drawer", "dropdown-menu", "empty", "input-group", "item", "popover", "sidebar", "skeleton", "table",
    "tabs", "field-separator", "breadcrumb", "progress"],
);
const isUnused = (part) =>
  (part.type === "class" && UNUSED.has(part.name)) ||
  (part.type === "attribute" && ["data-popover", "data-tooltip", "data-shortcut"].includes(part.name)) ||
  (part.type === "pseudo-class" && part.selectors?.every((selector) => selector.some(isUnused)));

function withoutUnusedParts() {
  return {
    name: "without-unused-parts",
    enforce: "post",
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (!file.fileName.endsWith(".css")) continue;
        const { code } = transform({
          filename: file.fileName,
          code: Buffer.from(file.source),
          minify: true,
          visitor: {
            Rule: {
              style({ value: rule }) {
                // The first part decides: a rule about something inside an unused one goes with it.
                const used = rule.selectors.filter((selector) => !selector.some(isUnused));
                return used.length ? undefined : [];
              },
            },
          },
        });
        file.source = code.toString();
      }
    },
  };
}

// No source maps, no inlined files: `default-src 'self'` allows neither data: scripts nor data: fonts.
export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [tailwindcss(), withoutUnusedParts()],
  build: {
    outDir: "../static/dist",
    emptyOutDir: true,
    // Read by the page templates' `asset()`; not in a dot directory, which packagers tend to leave out.
    manifest: "manifest.json",
    // The licences of what is bundled go with it.
    license: { fileName: "licenses.md" },
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // light-dark() and popover work natively from these on, so nothing is lowered for older ones.
    target: ["chrome123", "firefox125", "safari17.5"],
    rolldownOptions: { input: { app: "src/app.js", style: "src/app.css", favicon: "src/icons/favicon.svg" } },
  },
});

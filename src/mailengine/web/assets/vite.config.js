import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

// No source maps, no inlined files: `default-src 'self'` allows neither data: scripts nor data: fonts.
export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [tailwindcss()],
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

import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    outDir: "../src/orchestrion/server/console",
    emptyOutDir: true,
    // A data: URL would be refused by the content security policy of the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});

import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const service = process.env.PARLEY_URL ?? "http://localhost:3500";
const http = { target: service, changeOrigin: true };

/** Keeps the fonts of formulas in the one format that each browser of today reads. */
function onlyWoff2(): Plugin {
  return {
    name: "only-woff2",
    enforce: "pre",
    transform: (code, id) =>
      id.includes("katex") && id.endsWith(".css") ? code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\([^)]*\)/g, "") : null,
  };
}

export default defineConfig({
  plugins: [react(), onlyWoff2()],
  experimental: {
    // The page may live below any path, so it names its parts from where it is: the server has it at ./ and them
    // at ./static/, where they find each other.
    renderBuiltUrl: (file, { hostType }) => (hostType === "html" ? `static/${file}` : { relative: true }),
  },
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy knows no data: addresses
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  server: {
    // The page of the development server talks to a service that runs beside it, which takes sockets of its own
    // origin only: hence the rewriting.
    proxy: {
      "/token": http,
      "/refresh_token": http,
      "/model": http,
      "/stages": http,
      "/api": http,
      "/chat": { ...http, ws: true, rewriteWsOrigin: true },
    },
  },
  test: { include: ["src/**/*.test.ts", "src/**/*.test.tsx"] },
});

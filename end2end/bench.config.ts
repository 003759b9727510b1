// `cargo xtask bench`: the same product and fixtures as the tests, measured one at a time.
import { defineConfig } from "@playwright/test";
import tests from "./playwright.config.ts";

export default defineConfig(tests, {
  testDir: "bench",
  testMatch: "*.bench.ts",
  workers: 1,
  fullyParallel: false,
  timeout: 300_000,
  use: { trace: "off", screenshot: "off", viewport: { width: 1280, height: 800 } },
});

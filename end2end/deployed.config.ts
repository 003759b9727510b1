// The site that `cargo xtask build` makes: what only it has, and the way through the product on it.
import { defineConfig } from "@playwright/test";
import tests from "./playwright.config.ts";

export default defineConfig(tests, {
  testDir: ".",
  // What the other tests left behind when they failed stays.
  outputDir: "results/deployed",
  testMatch: ["deployed/*.spec.ts", "tests/first-visit.spec.ts", "tests/thread.spec.ts"],
});

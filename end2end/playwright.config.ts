import { defineConfig } from "@playwright/test";

const chromium = process.env.SKEIN_TEST_CHROMIUM;

export default defineConfig({
  testDir: "tests",
  outputDir: "results/artifacts",
  // Every test starts a product of its own, so any two can run side by side.
  fullyParallel: true,
  workers: 2,
  // A machine that is busy with something else gets a second chance, named as flaky in the report.
  retries: process.env.CI ? 1 : 0,
  forbidOnly: Boolean(process.env.CI),
  timeout: 180_000,
  expect: { timeout: 20_000 },
  reporter: "list",
  use: {
    viewport: { width: 1440, height: 900 },
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    launchOptions: {
      ...(chromium ? { executablePath: chromium } : {}),
      // Chromium's own sandbox does not start as root.
      chromiumSandbox: process.getuid?.() !== 0,
      args: [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        // Drawing in software: a graphics process would only emulate a card.
        "--disable-gpu",
        "--no-first-run",
      ],
    },
  },
});

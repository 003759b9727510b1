// What is under test: the paths that `cargo xtask test` sets, or where a plain build puts them.
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

function path(variable: string, otherwise: string): string {
  return process.env[variable] ?? resolve(root, otherwise);
}

export const binaries = {
  server: path("SKEIN_TEST_SERVER", "target/debug/server"),
  orchestrator: path("SKEIN_TEST_ORCHESTRATOR", "target/debug/orchestrator"),
  model: path("SKEIN_TEST_MODEL", "target/debug/scripted-model"),
};

export const siteRoot = path("SKEIN_TEST_SITE", "target/site");

export const docsFolder = resolve(root, "docs");

export const resultsFolder = resolve(root, "end2end/results");

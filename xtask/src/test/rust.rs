//! The crates' own tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::engines::ENGINES;
use super::summary::{Layer, Summary};
use crate::agents::{AGENTS, agents_folder};
use crate::job;
use crate::workspace::Workspace;

/// Names the database that the store's tests run on besides SQLite.
const POSTGRES_URL: &str = "SKEIN_TEST_POSTGRES_URL";
/// What a test prints that can't do its work here, with the reason after it. It counts as skipped.
const SKIPPED: &str = "skipped: ";

/// Runs `cargo test` for the native crates; each test binary becomes a row of the summary.
pub(super) fn run(
    workspace: &Workspace,
    postgres: &str,
    engines: Option<&Path>,
    filter: &[String],
    summary: &mut Summary,
) -> Result<()> {
    let started = Instant::now();
    let mut command = workspace.cargo();
    command.args(["test", "--no-fail-fast"]).args(with_output(filter));
    command.env(POSTGRES_URL, postgres).env(AGENTS, agents_folder()?);
    if let Some(engines) = engines {
        command.env(ENGINES, engines);
    }
    let mut reader = Reader::default();
    let status = job::pass_through(&mut command, |line| reader.line(line))?;
    let mut failed = 0;
    for layer in reader.layers {
        failed += layer.failed;
        if layer.passed + layer.failed + layer.skipped > 0 {
            summary.add(layer);
        }
    }
    for (reason, times) in reader.reasons {
        summary.note(format!("{times} skipped: {reason}"));
    }
    if !status.success() && failed == 0 {
        summary.add_broken("cargo test (see above)", started.elapsed());
    }
    Ok(())
}

/// The filter, with the wish to see what tests print that passed: only there they say that they did
/// not do their work.
fn with_output(filter: &[String]) -> Vec<&str> {
    let mut arguments: Vec<&str> = filter.iter().map(String::as_str).collect();
    if !arguments.contains(&"--") {
        arguments.push("--");
    }
    arguments.push("--show-output");
    arguments
}

/// Reads what cargo and its test binaries print.
#[derive(Debug, Default)]
struct Reader {
    layers: Vec<Layer>,
    /// Why tests were skipped, and how many.
    reasons: BTreeMap<String, u64>,
    /// Tests of the binary that were skipped without the harness's knowing.
    silent: u64,
    /// The part about tests that passed: nobody needs to see it.
    of_passed: bool,
    /// The test of that part has said already that it was skipped.
    counted: bool,
}

impl Reader {
    /// Answers whether the line is for the person as well.
    fn line(&mut self, line: &str) -> bool {
        let words = line.trim();
        if let Some(name) = binary_name(line) {
            self.layers.push(Layer { name, ..Layer::default() });
        } else if let Some(counts) = words.strip_prefix("test result: ") {
            self.result(counts);
        } else if let Some(reason) = words.strip_prefix(SKIPPED) {
            if !self.counted {
                self.silent += 1;
                *self.reasons.entry(reason.to_owned()).or_default() += 1;
            }
            self.counted = self.of_passed;
        }
        match words {
            "successes:" => self.of_passed = true,
            "failures:" => self.of_passed = false,
            _ if words.starts_with("test result: ") => self.of_passed = false,
            // The words of the next test.
            _ if words.starts_with("---- ") => self.counted = false,
            _ => {}
        }
        !self.of_passed
    }

    fn result(&mut self, counts: &str) {
        let silent = std::mem::take(&mut self.silent);
        let Some(layer) = self.layers.last_mut() else { return };
        layer.passed += count(counts, "passed").saturating_sub(silent);
        layer.failed += count(counts, "failed");
        layer.skipped += count(counts, "ignored") + silent;
        layer.time += time(counts);
    }
}

/// `Running unittests src/lib.rs (target/debug/deps/app-1f…)` → `app: src/lib.rs`.
fn binary_name(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name}: documentation"));
    }
    let (source, binary) = line.strip_prefix("Running ")?.split_once(" (")?;
    let binary = binary.strip_suffix(')')?.rsplit('/').next()?;
    let (binary, _hash) = binary.rsplit_once('-')?;
    match source.strip_prefix("unittests ") {
        Some(source) => Some(format!("{binary}: {source}")),
        None => Some(source.to_owned()),
    }
}

fn count(counts: &str, word: &str) -> u64 {
    let parts = counts.split(['.', ';']);
    parts.filter_map(|part| part.trim().strip_suffix(word)?.trim().parse::<u64>().ok()).sum()
}

fn time(counts: &str) -> std::time::Duration {
    let text = counts.rsplit("finished in ").next().and_then(|text| text.strip_suffix('s'));
    let seconds = text.and_then(|text| text.parse().ok()).unwrap_or_default();
    std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_cargo_prints() {
        let mut reader = Reader::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/backend-0123abcd)",
            "test a ... ok",
            "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.25s",
            "     Running tests/store.rs (target/debug/deps/store-0123abcd)",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "   Doc-tests backend",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        ] {
            reader.line(line);
        }
        let rows: Vec<_> = reader
            .layers
            .iter()
            .map(|layer| (layer.name.as_str(), layer.passed, layer.failed, layer.skipped))
            .collect();
        assert_eq!(
            rows,
            [
                ("backend: src/lib.rs", 12, 1, 2),
                ("tests/store.rs", 3, 0, 0),
                ("backend: documentation", 1, 0, 0),
            ]
        );
        assert_eq!(reader.layers[0].time.as_millis(), 1250);
    }

    #[test]
    fn a_test_that_says_so_counts_as_skipped_once_and_its_reason_is_kept() {
        let mut reader = Reader::default();
        let lines = [
            ("     Running tests/store.rs (target/debug/deps/store-0123abcd)", true),
            ("test a ... ok", true),
            ("successes:", false),
            ("---- a stdout ----", false),
            ("skipped: no database", false),
            ("skipped: no database", false),
            ("---- b stdout ----", false),
            ("skipped: no agent", false),
            ("successes:", false),
            ("    a", false),
            ("failures:", true),
            ("---- c stdout ----", true),
            (
                "test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                true,
            ),
        ];
        for (line, is_shown) in lines {
            assert_eq!(reader.line(line), is_shown, "{line}");
        }
        let layer = &reader.layers[0];
        assert_eq!((layer.passed, layer.failed, layer.skipped), (1, 1, 3));
        let reasons = [("no agent", 1), ("no database", 1)];
        assert_eq!(reader.reasons, reasons.map(|(why, times)| (why.to_owned(), times)).into());
    }

    #[test]
    fn what_tests_print_is_asked_for_beside_a_filter_of_any_kind() {
        let filter =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(with_output(&[]), ["--", "--show-output"]);
        let names = filter(&["-p", "sdk", "sse"]);
        assert_eq!(with_output(&names), ["-p", "sdk", "sse", "--", "--show-output"]);
        let both = filter(&["sse", "--", "--ignored"]);
        assert_eq!(with_output(&both), ["sse", "--", "--ignored", "--show-output"]);
    }
}

//! The crates' own tests.

use std::time::Instant;

use anyhow::Result;

use super::summary::{Layer, Summary};
use crate::job;
use crate::workspace::Workspace;

/// Names the database that the store's tests run on besides SQLite.
const POSTGRES_URL: &str = "SKEIN_TEST_POSTGRES_URL";

/// Runs `cargo test` for the native crates; each test binary becomes a row of the summary.
pub(super) fn run(
    workspace: &Workspace,
    postgres: &str,
    filter: &[String],
    summary: &mut Summary,
) -> Result<()> {
    let started = Instant::now();
    let mut command = workspace.cargo();
    command.args(["test", "--no-fail-fast"]).args(filter).env(POSTGRES_URL, postgres);
    let mut reader = Reader::default();
    let status = job::pass_through(&mut command, |line| reader.line(line))?;
    let mut failed = 0;
    for layer in reader.layers {
        failed += layer.failed;
        if layer.passed + layer.failed + layer.skipped > 0 {
            summary.add(layer);
        }
    }
    if !status.success() && failed == 0 {
        summary.add_broken("cargo test (see above)", started.elapsed());
    }
    Ok(())
}

/// Reads what cargo and its test binaries print.
#[derive(Debug, Default)]
struct Reader {
    layers: Vec<Layer>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(name) = binary_name(line) {
            self.layers.push(Layer { name, ..Layer::default() });
        } else if let (Some(counts), Some(layer)) =
            (line.trim().strip_prefix("test result: "), self.layers.last_mut())
        {
            layer.passed += count(counts, "passed");
            layer.failed += count(counts, "failed");
            layer.skipped += count(counts, "ignored");
            layer.time += time(counts);
        }
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
}

//! The table at the end of a test run.

use std::time::Duration;

use crate::console;

/// What one layer came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) time: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    layers: Vec<Layer>,
    notes: Vec<String>,
}

impl Summary {
    pub(super) fn add(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// A layer that could not run at all counts as one failure.
    pub(super) fn add_broken(&mut self, name: &str, time: Duration) {
        self.add(Layer { name: name.to_owned(), failed: 1, time, ..Layer::default() });
    }

    /// Something that the person has to know beside the figures.
    pub(super) fn note(&mut self, words: String) {
        self.notes.push(words);
    }

    /// Whether something ran and nothing failed.
    pub(super) fn passed(&self) -> bool {
        self.total(|layer| layer.failed) == 0 && self.total(|layer| layer.passed) > 0
    }

    /// Prints the table, and the totals alone on the last line.
    pub(super) fn print(&self) {
        println!("\n{:<40} {:>7} {:>7} {:>8}  time", "layer", "passed", "failed", "skipped");
        for layer in &self.layers {
            println!(
                "{:<40} {:>7} {:>7} {:>8}  {}",
                layer.name,
                layer.passed,
                layer.failed,
                layer.skipped,
                console::seconds(layer.time)
            );
        }
        if !self.notes.is_empty() {
            println!();
            self.notes.iter().for_each(|note| println!("{note}"));
        }
        println!("\n{}", self.closing_line());
    }

    fn closing_line(&self) -> String {
        let mut line = format!(
            "{} passed, {} failed",
            self.total(|layer| layer.passed),
            self.total(|layer| layer.failed)
        );
        let skipped = self.total(|layer| layer.skipped);
        if skipped > 0 {
            line.push_str(&format!(", {skipped} skipped"));
        }
        line
    }

    fn total(&self, count: impl Fn(&Layer) -> u64) -> u64 {
        self.layers.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(layers: &[(u64, u64, u64)]) -> Summary {
        let layer = |&(passed, failed, skipped): &(u64, u64, u64)| Layer {
            passed,
            failed,
            skipped,
            ..Layer::default()
        };
        Summary { layers: layers.iter().map(layer).collect(), ..Summary::default() }
    }

    #[test]
    fn the_closing_line_adds_the_layers_up() {
        assert_eq!(summary(&[(3, 0, 0), (4, 1, 0)]).closing_line(), "7 passed, 1 failed");
        assert_eq!(summary(&[(3, 0, 2)]).closing_line(), "3 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn a_run_passes_only_when_something_ran_and_nothing_failed() {
        assert!(summary(&[(3, 0, 1)]).passed());
        assert!(!summary(&[(3, 0, 0), (0, 1, 0)]).passed());
        assert!(!summary(&[]).passed());
    }
}

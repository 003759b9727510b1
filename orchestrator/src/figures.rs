//! Where benches leave what they measured.

use std::{fs::OpenOptions, io::Write as _};

use serde_json::json;

/// Names the file that `cargo xtask bench` reads figures from.
const OUTPUT: &str = "SKEIN_BENCH_OUTPUT";

/// Prints a figure, and adds it to the file where there is one.
pub(crate) fn report(name: &str, value: f64) {
    let line = json!({ "name": name, "value": value });
    println!("{line}");
    if let Some(path) = std::env::var_os(OUTPUT) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// The value that the given share of all measurements does not exceed.
pub(crate) fn quantile(measured: &mut [f64], share: f64) -> f64 {
    measured.sort_by(f64::total_cmp);
    let last = measured.len().saturating_sub(1);
    measured[(last as f64 * share).round() as usize]
}

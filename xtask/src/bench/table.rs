//! The table that `bench` prints.

use super::budgets::{ROWS, Row, Unit};

/// A measured value: bytes, a time or a count, by the unit of its row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub(super) name: String,
    /// Or why there is none.
    pub(super) value: Result<f64, String>,
}

/// Prints every figure that was taken beside its budget and its baseline.
pub(super) fn print(figures: &[Figure], circumstances: &str) {
    println!("\n{circumstances}\n");
    println!("{:<38} {:>12} {:>12}       baseline", "what", "measured", "budget");
    for row in ROWS {
        if let Some(figure) = figures.iter().rev().find(|figure| figure.name == row.name) {
            match &figure.value {
                Ok(value) => println!("{}", line(row, *value)),
                Err(why) => println!("{:<38} {why:>12}", row.label),
            }
        }
    }
}

fn line(row: &Row, value: f64) -> String {
    let value = shown_value(row.unit, value);
    let more_is_better = row.unit == Unit::Rate;
    let sign = if more_is_better { '≥' } else { '≤' };
    let budget = row.budget.map(|budget| format!("{sign} {}", shown(row.unit, budget)));
    let verdict = match row.budget {
        Some(budget) if more_is_better && value < budget => "under",
        Some(budget) if !more_is_better && value > budget => "over",
        Some(_) => "ok",
        None => "",
    };
    let measured = shown(row.unit, value);
    let budget = budget.unwrap_or_default();
    format!("{:<38} {measured:>12} {budget:>12} {verdict:<5} {}", row.label, row.baseline)
        .trim_end()
        .to_owned()
}

/// The value in the unit that is shown.
fn shown_value(unit: Unit, value: f64) -> f64 {
    match unit {
        Unit::Kilobytes | Unit::Rate => value / 1e3,
        Unit::Megabytes => value / 1e6,
        Unit::Milliseconds | Unit::Microseconds | Unit::Count | Unit::Ratio => value,
    }
}

fn shown(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Kilobytes => format!("{value:.1} KB"),
        Unit::Megabytes => format!("{value:.1} MB"),
        Unit::Milliseconds if value < 100.0 => format!("{value:.1} ms"),
        Unit::Milliseconds => format!("{value:.0} ms"),
        Unit::Microseconds => format!("{value:.1} µs"),
        Unit::Count => format!("{value:.0}"),
        Unit::Rate => format!("{value:.1} k/s"),
        Unit::Ratio => format!("{value:.2} ×"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row {
        name: "wasm",
        label: "wasm",
        unit: Unit::Kilobytes,
        budget: Some(250.0),
        baseline: "theirs",
    };

    #[test]
    fn a_figure_stands_beside_its_budget_and_its_baseline() {
        let words = |value| {
            line(&ROW, value).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(249_900.0), "wasm 249.9 KB ≤ 250.0 KB ok theirs");
        assert_eq!(words(251_000.0), "wasm 251.0 KB ≤ 250.0 KB over theirs");
        let rate = |value| line(&Row { unit: Unit::Rate, budget: Some(100.0), ..ROW }, value);
        assert!(rate(100_000.0).contains("≥ 100.0 k/s ok"));
        assert!(rate(99_900.0).contains("≥ 100.0 k/s under"));
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }
}

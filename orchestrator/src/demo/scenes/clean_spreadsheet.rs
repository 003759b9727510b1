//! Cleans a table: finds it or makes a sample, looks at it, and counts every change.

use super::{has, put};
use crate::demo::{
    actions::could_not,
    memory::Memory,
    narrator::{Narrator, Stopped},
    tools::ToolCall,
    wording::{code, count, fenced, quoted, shell_word},
};

const SAMPLE: &str = "sales-2025.csv";
const SAMPLE_TEXT: &str = include_str!("../texts/sales-2025.csv");
const PYTHON: &str = include_str!("../texts/clean.py");
const AWK: &str = include_str!("../texts/clean.sh");
const PREVIEW_ROWS: usize = 6;

pub(in crate::demo) async fn clean_spreadsheet(
    narrator: &mut Narrator,
    memory: &mut Memory,
    named: Option<String>,
) -> Result<(), Stopped> {
    let Some(path) = find(narrator, named).await? else { return Ok(()) };
    let before = narrator.call(ToolCall::Read { path: path.clone() }).await?;
    if !before.is_ok() {
        return narrator.say(&could_not("read", &path, &before)).await;
    }
    let rows = before.text.lines().count().saturating_sub(1);
    let text = format!(
        "{} has {} below its header. These are the first lines:\n\n{}",
        code(&path),
        count(rows, "row"),
        fenced("csv", &first_lines(&before.text))
    );
    narrator.say(&text).await?;

    let python = has(narrator, "python3").await?;
    let (script, program, content) =
        if python { ("clean.py", "python3", PYTHON) } else { ("clean.sh", "sh", AWK) };
    if !put(narrator, script, content).await? {
        return Ok(());
    }
    let clean = format!("{}.clean.csv", path.trim_end_matches(".csv"));
    let command = format!("{program} {script} {} {}", shell_word(&path), shell_word(&clean));
    let run = narrator.bash(command).await?;
    if let Some(error) = run.error {
        let text = format!("The script failed ({error}):\n\n{}", quoted(&run.stderr));
        return narrator.say(&text).await;
    }
    memory.worked_on(&clean);
    let after = narrator.call(ToolCall::Read { path: clean.clone() }).await?;
    let dates = if python {
        "Dates that can be read in two ways are left as they are: only you know which one is meant."
    } else {
        "Dates are left as they are: without Python here, I only tidy rows and spaces."
    };
    let text = format!(
        "The clean table is {}; the original is untouched. What changed:\n\n{}\n\nIt now begins \
         like this:\n\n{}\n\n{dates} The script is {}, if you want to do it again.",
        code(&clean),
        report(&run.text),
        fenced("csv", &first_lines(&after.text)),
        code(script)
    );
    narrator.say(&text).await
}

/// The table that is meant, or a sample when there is none.
async fn find(narrator: &mut Narrator, named: Option<String>) -> Result<Option<String>, Stopped> {
    if named.is_some() {
        return Ok(named);
    }
    let found = narrator
        .bash("find . -name '*.csv' ! -name '*.clean.csv' -not -path './.*' | sort | head -n 5")
        .await?;
    if let Some(path) = found.text.lines().next() {
        return Ok(Some(path.trim_start_matches("./").to_owned()));
    }
    let text = format!(
        "There is no CSV file in the workspace, so I make a small sample to show it on: {}.",
        code(SAMPLE)
    );
    narrator.say(&text).await?;
    Ok(put(narrator, SAMPLE, SAMPLE_TEXT).await?.then(|| SAMPLE.to_owned()))
}

fn first_lines(text: &str) -> String {
    text.lines().take(PREVIEW_ROWS).collect::<Vec<_>>().join("\n")
}

/// The script's `name: number` lines as a table.
fn report(output: &str) -> String {
    let rows = output.lines().filter_map(|line| line.split_once(": "));
    let rows: String = rows.map(|(what, number)| format!("| {what} | {number} |\n")).collect();
    format!("| what | how many |\n|---|---:|\n{}", rows.trim_end())
}

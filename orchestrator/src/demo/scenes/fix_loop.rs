//! Writes a program that fails, sees how, and fixes it.

use super::{has, put};
use crate::demo::{
    memory::Memory,
    narrator::{Narrator, Stopped},
    tools::ToolCall,
    wording::{code, quoted},
};

/// A program with one mistake, and the change that takes it out.
struct Flawed {
    path: &'static str,
    command: &'static str,
    text: &'static str,
    /// What standard error says when the mistake is what failed.
    sign: &'static str,
    explanation: &'static str,
    wrong: &'static str,
    right: &'static str,
}

const PYTHON: Flawed = Flawed {
    path: "invoice.py",
    command: "python3 invoice.py",
    text: include_str!("../texts/invoice.py"),
    sign: "TypeError",
    explanation: "The amounts come out of the text as text, and `sum` cannot add text to a number. \
                  Each amount has to be made a number first.",
    wrong: "amounts.append(amount)",
    right: "amounts.append(float(amount))",
};

const SHELL: Flawed = Flawed {
    path: "invoice.sh",
    command: "sh invoice.sh",
    text: include_str!("../texts/invoice.sh"),
    sign: "totl",
    explanation: "The name of a variable is misspelt, and with `set -u` the shell refuses a variable \
                  that was never set.",
    wrong: "$(($totl + $amount))",
    right: "$(($total + $amount))",
};

pub(in crate::demo) async fn fix_loop(
    narrator: &mut Narrator,
    memory: &mut Memory,
) -> Result<(), Stopped> {
    let python = has(narrator, "python3").await?;
    let program = if python { PYTHON } else { SHELL };
    let language = if python { "Python" } else { "shell, because there is no Python here" };
    let text = format!(
        "I will write a small program in {language}: {} adds up the lines of an invoice. Its first \
         version has a mistake on purpose, so that there is something to fix.",
        code(program.path)
    );
    narrator.say(&text).await?;
    if !put(narrator, program.path, program.text).await? {
        return Ok(());
    }
    memory.worked_on(program.path);
    let first = narrator.bash(program.command).await?;
    if first.is_ok() {
        return narrator
            .say("It ran without an error, which I did not expect. Nothing to fix.")
            .await;
    }
    narrator.think("It failed. The last line of standard error names the problem.").await?;
    let cause = first.stderr.trim().lines().next_back().unwrap_or("(nothing)").to_owned();
    if !first.stderr.contains(program.sign) {
        let text =
            format!("It failed in a way I do not know how to fix:\n\n{}", quoted(&first.stderr));
        return narrator.say(&text).await;
    }
    let text = format!("It fails, and says why:\n\n{}\n\n{}", quoted(&cause), program.explanation);
    narrator.say(&text).await?;
    let edit = ToolCall::Edit {
        path: program.path.to_owned(),
        old: program.wrong.to_owned(),
        new: program.right.to_owned(),
    };
    let edited = narrator.call(edit).await?;
    let second = narrator.bash(program.command).await?;
    let text = match (&edited.error, &second.error) {
        (None, None) => format!(
            "Now it works. It printed:\n\n{}\n\nI changed one thing: {} became {}.",
            quoted(&second.text),
            code(program.wrong),
            code(program.right)
        ),
        (Some(error), _) => format!("I could not change it: {error}."),
        (None, Some(error)) => {
            format!("It still fails ({error}):\n\n{}", quoted(&second.stderr))
        }
    };
    narrator.say(&text).await
}

//! Finds where a program's time goes, fixes that place, and measures again.

use super::{has, put};
use crate::demo::{
    memory::Memory,
    narrator::{Narrator, Stopped},
    tools::{Outcome, ToolCall},
    wording::{code, duration, fenced, quoted, shell_word},
};

/// A program with one slow place, and the change that makes it fast: whole lines, which are shown
/// as a diff.
struct Slow {
    path: &'static str,
    text: &'static str,
    run: &'static str,
    profile: &'static str,
    finding: &'static str,
    slow: &'static str,
    fast: &'static str,
}

const PYTHON: Slow = Slow {
    path: "orders.py",
    text: include_str!("../texts/orders.py"),
    run: "python3 orders.py",
    profile: "python3 -m cProfile -s tottime orders.py | head -n 14",
    finding: "Nearly all of the time is spent in `repeated`: it looks every order up in a list of \
              those before it, and that lookup reads the list from its beginning. A set answers the \
              same question at once.",
    slow: "    seen = []\n    add = seen.append",
    fast: "    seen = set()\n    add = seen.add",
};

const SHELL: Slow = Slow {
    path: "orders.sh",
    text: include_str!("../texts/orders.sh"),
    run: "sh orders.sh",
    profile: "sh -x orders.sh 2>&1 >/dev/null | awk '{ print $2 }' | sort | uniq -c | sort -rn | head -n 5",
    finding: "The trace shows `expr` once for every step of the loop, and each time that is a new \
              process. The shell can add by itself.",
    slow: "    total=$(expr $total + $order)",
    fast: "    total=$((total + order))",
};

pub(in crate::demo) async fn find_slow_part(
    narrator: &mut Narrator,
    memory: &mut Memory,
    named: Option<String>,
) -> Result<(), Stopped> {
    let python = has(narrator, "python3").await?;
    if let Some(path) = named {
        return profile_named(narrator, memory, &path, python).await;
    }
    let program = if python { PYTHON } else { SHELL };
    let text = format!(
        "You named no program, so I write a small one that is slow: {}. (To profile one of yours, \
         say `find the slow part of program.py`.)",
        code(program.path)
    );
    narrator.say(&text).await?;
    if !put(narrator, program.path, program.text).await? {
        return Ok(());
    }
    memory.worked_on(program.path);
    let before = narrator.bash(program.run).await?;
    let profile = narrator.bash(program.profile).await?;
    let text = format!(
        "It takes {}. This is where the time goes:\n\n{}\n\n{}",
        duration(before.millis),
        quoted(&profile.text),
        program.finding
    );
    narrator.say(&text).await?;
    let edit = ToolCall::Edit {
        path: program.path.to_owned(),
        old: program.slow.to_owned(),
        new: program.fast.to_owned(),
    };
    if let Some(error) = narrator.call(edit).await?.error {
        return narrator.say(&format!("I could not change it: {error}.")).await;
    }
    let after = narrator.bash(program.run).await?;
    narrator.say(&compared(&program, &before, &after)).await
}

fn compared(program: &Slow, before: &Outcome, after: &Outcome) -> String {
    if let Some(error) = &after.error {
        return format!("After the change it fails ({error}):\n\n{}", quoted(&after.stderr));
    }
    let same = if before.text == after.text {
        "It prints the same as before"
    } else {
        "It prints something else than before, so the change is **wrong**"
    };
    format!(
        "| | before | after |\n|---|---:|---:|\n| {} | {} | {} |\n\n{same}:\n\n{}\n\nThe change:\n\n{}",
        code(program.run),
        duration(before.millis),
        duration(after.millis),
        quoted(&after.text),
        fenced("diff", &diff(program.slow, program.fast))
    )
}

fn diff(old: &str, new: &str) -> String {
    let removed = old.lines().map(|line| format!("-{line}"));
    let added = new.lines().map(|line| format!("+{line}"));
    removed.chain(added).collect::<Vec<_>>().join("\n")
}

/// Measures a program of the person's own. What to change in it is beyond a script.
async fn profile_named(
    narrator: &mut Narrator,
    memory: &mut Memory,
    path: &str,
    python: bool,
) -> Result<(), Stopped> {
    if !python {
        return narrator.say("This sandbox has no Python, so I cannot profile that.").await;
    }
    let command = format!(
        "set -o pipefail; python3 -m cProfile -s tottime {} | tail -n +1 | head -n 40",
        shell_word(path)
    );
    let profile = narrator.bash(command).await?;
    if profile.error.is_some() && !profile.text.contains("function calls") {
        let text = format!("I could not profile {}:\n\n{}", code(path), quoted(&profile.stderr));
        return narrator.say(&text).await;
    }
    memory.worked_on(path);
    let at = profile.text.find("function calls").unwrap_or(0);
    let start = profile.text.get(..at).and_then(|head| head.rfind('\n')).unwrap_or(0);
    let table = profile.text.get(start..).unwrap_or_default();
    let text = format!(
        "This is where {} spends its time, the costliest function first:\n\n{}\n\nWhat to change \
         there is a question for a model; I can only measure.",
        code(path),
        quoted(table)
    );
    narrator.say(&text).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_is_shown_in_whole_lines() {
        for program in [PYTHON, SHELL] {
            let lines: Vec<_> = program.text.lines().collect();
            for line in program.slow.lines() {
                assert!(lines.contains(&line), "{line:?} is no line of {}", program.path);
            }
        }
        let change =
            "-    seen = []\n-    add = seen.append\n+    seen = set()\n+    add = seen.add";
        assert_eq!(diff(PYTHON.slow, PYTHON.fast), change);
    }
}

//! Single requests: one thing done, and told from what really happened.

use super::{
    memory::Memory,
    narrator::{Narrator, Stopped},
    request::{Asked, interpreter},
    tools::{Outcome, ToolCall},
    wording::{code, count, duration, fenced, quoted, shell_word},
};
use crate::interactions::{Power, Question};

/// Where an answer to a question is written down.
const ANSWER_FILE: &str = "answer.txt";
/// A shell's exit code for a program that it cannot find.
const NOT_FOUND: i32 = 127;

/// Asks what it was told to ask, and does something with the answer.
pub(super) async fn ask(
    narrator: &mut Narrator,
    memory: &mut Memory,
    asked: Asked,
) -> Result<(), Stopped> {
    let options = asked.options.into_iter().map(|option| (option, None)).collect();
    let question = Question { text: asked.question, options, custom: true, ..Question::default() };
    let answer = match narrator.ask(question).await? {
        Ok(answer) => answer.join(", "),
        Err(words) => return narrator.say(&format!("{words} I leave it at that.")).await,
    };
    let path = ANSWER_FILE.to_owned();
    let call = ToolCall::Write { path: path.clone(), content: format!("{answer}\n") };
    let written = narrator.call(call).await?;
    if !written.is_ok() {
        let text =
            format!("You answered {}. {}", code(&answer), could_not("write", &path, &written));
        return narrator.say(&text).await;
    }
    memory.worked_on(&path);
    let text = format!("You answered {}. I wrote it into {}.", code(&answer), code(&path));
    narrator.say(&text).await
}

pub(super) async fn recall(narrator: &mut Narrator, memory: &Memory) -> Result<(), Stopped> {
    let Some(last) = memory.turns.last() else {
        return narrator
            .say("This is your first message here, so there is nothing before it.")
            .await;
    };
    let stopped = if last.stopped { " You stopped me before I was done." } else { "" };
    let text = format!("Just before this you asked:\n\n> {}{stopped}", quote(&last.request));
    narrator.say(&text).await?;
    if memory.turns.len() > 1 {
        let first = memory.turns.len().saturating_sub(10);
        let lines: Vec<String> = memory
            .turns
            .iter()
            .enumerate()
            .skip(first)
            .map(|(number, turn)| format!("{}. {}", number + 1, one_line(&turn.request)))
            .collect();
        let text = format!(
            "I remember {} in this session:\n\n{}",
            count(memory.turns.len(), "request"),
            lines.join("\n")
        );
        narrator.say(&text).await?;
    }
    if !memory.notes.is_empty() {
        let notes: Vec<_> =
            memory.notes.iter().map(|note| format!("- {}", one_line(note))).collect();
        narrator.say(&format!("You asked me to remember:\n\n{}", notes.join("\n"))).await?;
    }
    if let Some(file) = &memory.file {
        narrator.say(&format!("The file we last worked on is {}.", code(file))).await?;
    }
    Ok(())
}

pub(super) async fn remember(
    narrator: &mut Narrator,
    memory: &mut Memory,
    note: String,
) -> Result<(), Stopped> {
    let text = format!(
        "I will remember, for as long as this chat has its sandbox:\n\n> {}\n\nAsk me `what do you \
         remember?` to hear it again.",
        quote(&note)
    );
    memory.note(note);
    narrator.say(&text).await
}

pub(super) async fn list(narrator: &mut Narrator, path: Option<String>) -> Result<(), Stopped> {
    let path = path.unwrap_or_else(|| ".".into());
    let listed = narrator.call(ToolCall::List { path: path.clone() }).await?;
    let place = if path == "." { "The workspace".to_owned() } else { code(&path) };
    let text = match &listed.error {
        Some(_) => could_not("list", &path, &listed),
        None if listed.text.is_empty() => {
            format!(
                "{place} is empty. Ask me to write a file, for example `write notes.txt containing \"hello\"`."
            )
        }
        None => {
            let entries = count(listed.text.lines().count(), "entry").replace("entrys", "entries");
            format!("{place} holds {entries}:\n\n{}", fenced("text", &listed.text))
        }
    };
    narrator.say(&text).await
}

pub(super) async fn read(
    narrator: &mut Narrator,
    memory: &mut Memory,
    path: String,
) -> Result<(), Stopped> {
    let read = narrator.call(ToolCall::Read { path: path.clone() }).await?;
    let text = match &read.error {
        Some(_) => could_not("read", &path, &read),
        None if read.text.is_empty() => format!("{} is empty.", code(&path)),
        None => {
            let lines = count(read.text.lines().count(), "line");
            format!("{} has {lines}:\n\n{}", code(&path), quoted(&read.text))
        }
    };
    if read.is_ok() {
        memory.worked_on(&path);
    }
    narrator.say(&text).await
}

pub(super) async fn read_it(narrator: &mut Narrator, memory: &mut Memory) -> Result<(), Stopped> {
    match memory.file.clone() {
        Some(file) => read(narrator, memory, file).await,
        None => {
            let text = "There is no file yet that we worked on. Name one, for example `show me \
                        notes.txt`.";
            narrator.say(text).await
        }
    }
}

pub(super) async fn write(
    narrator: &mut Narrator,
    memory: &mut Memory,
    path: String,
    content: String,
    run: bool,
) -> Result<(), Stopped> {
    let call = ToolCall::Write { path: path.clone(), content: content.clone() };
    let written = narrator.call(call).await?;
    if !written.is_ok() {
        return narrator.say(&could_not("write", &path, &written)).await;
    }
    memory.worked_on(&path);
    if run {
        return run_file(narrator, memory, path).await;
    }
    if !narrator.is_free(&Power::Command) {
        return narrator.say(&format!("{} is written.", code(&path))).await;
    }
    let checked = narrator.bash(format!("wc -c {}", shell_word(&path))).await?;
    let bytes = checked.text.split_whitespace().next().unwrap_or("?").to_owned();
    narrator.say(&format!("{} is written: {bytes} bytes are on disk.", code(&path))).await
}

pub(super) async fn edit(
    narrator: &mut Narrator,
    memory: &mut Memory,
    path: String,
    old: String,
    new: String,
) -> Result<(), Stopped> {
    let before = narrator.call(ToolCall::Read { path: path.clone() }).await?;
    if !before.is_ok() {
        return narrator.say(&could_not("read", &path, &before)).await;
    }
    let call = ToolCall::Edit { path: path.clone(), old: old.clone(), new: new.clone() };
    let edited = narrator.call(call).await?;
    if let Some(error) = edited.error {
        let error = error.trim_end_matches('.');
        return narrator.say(&format!("Nothing was changed: {error}.")).await;
    }
    memory.worked_on(&path);
    let places: usize = edited.text.parse().unwrap_or(0);
    let text = format!(
        "I replaced {} with {} in {}, {}.",
        code(&old),
        code(&new),
        code(&path),
        if places == 1 { "once".to_owned() } else { format!("{places} times") }
    );
    narrator.say(&text).await
}

pub(super) async fn run_file(
    narrator: &mut Narrator,
    memory: &mut Memory,
    path: String,
) -> Result<(), Stopped> {
    let Some(program) = interpreter(&path) else {
        let text = format!(
            "{} is not a program that I can run: those end in `.py`, `.js`, `.sh`, `.bash`, `.pl` \
             or `.rb`. Shall I read it to you? Say `read it`.",
            code(&path)
        );
        memory.worked_on(&path);
        return narrator.say(&text).await;
    };
    let outcome = narrator.bash(format!("{program} {}", shell_word(&path))).await?;
    if outcome.stderr.contains("not found") && outcome.error.is_some() && outcome.text.is_empty() {
        let text = format!(
            "{} needs {}, which this sandbox does not have:\n\n{}",
            code(&path),
            code(program),
            quoted(&outcome.stderr)
        );
        return narrator.say(&text).await;
    }
    memory.worked_on(&path);
    narrator.say(&told(&path, &outcome)).await
}

pub(super) async fn run_again(narrator: &mut Narrator, memory: &mut Memory) -> Result<(), Stopped> {
    match (memory.command.clone(), memory.file.clone()) {
        (Some(last), _) => command(narrator, memory, last).await,
        (None, Some(file)) => run_file(narrator, memory, file).await,
        (None, None) => {
            let text = "There is nothing yet that I could run again. Name a file or a command, for \
                        example `run hello.py`.";
            narrator.say(text).await
        }
    }
}

pub(super) async fn command(
    narrator: &mut Narrator,
    memory: &mut Memory,
    command: String,
) -> Result<(), Stopped> {
    memory.command = Some(command.clone());
    let outcome = narrator.bash(command.clone()).await?;
    narrator.say(&told(&command, &outcome)).await
}

/// Why nothing could be done with a file or a folder, in a sentence.
pub(super) fn could_not(verb: &str, path: &str, outcome: &Outcome) -> String {
    let what = if verb == "list" { "folder" } else { "file" };
    if outcome.missing {
        return format!(
            "There is no {what} {}. Say `list the files` to see what there is.",
            code(path)
        );
    }
    let error = outcome.error.as_deref().unwrap_or("nobody knows why").trim_end_matches('.');
    format!("I could not {verb} {}: {error}.", code(path))
}

/// What a command gave, in words.
fn told(command: &str, outcome: &Outcome) -> String {
    if let (true, Some(why)) = (outcome.denied, &outcome.error) {
        return format!("I did not run {}. {why}", code(command));
    }
    let mut text = match &outcome.error {
        None => format!("{} ran without an error in {}.", code(command), duration(outcome.millis)),
        Some(error) => format!("{} failed: {}.", code(command), error.to_lowercase()),
    };
    if outcome.output["exitCode"] == NOT_FOUND {
        text.push_str(" That is how the shell says that there is no such program here.");
    }
    let streams = [("printed", &outcome.text), ("wrote to standard error", &outcome.stderr)];
    for (verb, stream) in streams {
        if !stream.trim().is_empty() {
            text.push_str(&format!(" It {verb}:\n\n{}\n\n", quoted(stream)));
        }
    }
    if outcome.text.trim().is_empty() && outcome.stderr.trim().is_empty() {
        text.push_str(" It printed nothing.");
    }
    text.trim_end().to_owned()
}

fn quote(text: &str) -> String {
    text.trim().replace('\n', "\n> ")
}

fn one_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let short: String = line.chars().take(120).collect();
    if short.len() < text.trim().len() { format!("{short} …") } else { short }
}

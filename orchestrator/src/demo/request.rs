//! Understands what the person asks for, as far as plain patterns go.

mod question;
mod words;

pub(super) use question::Asked;
use words::{after, fenced_block, has_all, has_any, looks_like_path, marked};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Ask(Asked),
    Help,
    Recall,
    Remember(String),
    List(Option<String>),
    Read(String),
    ReadIt,
    Write { path: String, content: String, run: bool },
    Edit { path: String, old: String, new: String },
    RunFile(String),
    RunAgain,
    Command(String),
    LongAnswer { length: usize },
    FixLoop,
    ExplainRepository,
    CleanSpreadsheet(Option<String>),
    WriteScript(Script),
    FindSlowPart(Option<String>),
    Unknown,
}

/// What a script that is asked for in a sentence should print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Primes,
    Fibonacci,
    FizzBuzz,
    /// The sentence asked for nothing that is known.
    Unspecified,
}

/// Characters of a long answer, unless the request names a number.
const DEFAULT_LENGTH: usize = 9_000;
const MAX_LENGTH: usize = 24_000;

impl Request {
    /// The first reading that fits, the most explicit ones first.
    pub(super) fn parse(message: &str) -> Self {
        let message = message.trim();
        let lower = message.to_lowercase();
        const READINGS: &[fn(&str, &str) -> Option<Request>] = &[
            explicit_command,
            ask,
            help,
            recall,
            remember,
            edit,
            long_answer,
            write,
            fix_loop,
            run,
            starter,
            list,
            read,
        ];
        READINGS.iter().find_map(|reading| reading(message, &lower)).unwrap_or(Self::Unknown)
    }

    /// What the agent thinks before it begins.
    pub(super) fn plan(&self) -> &'static str {
        match self {
            Self::Ask(_) => "They want to be asked something. I will ask, and wait for the answer.",
            Self::Help => "They want to know what I can do. I have a list of that.",
            Self::Remember(_) => "Something to keep. I will put it into my notes of the session.",
            Self::Recall => "They ask about this conversation. My notes of the session tell.",
            Self::List(_) => "They want to see what is there. I will list the folder.",
            Self::Read(_) => "They want to see a file. I will read it.",
            Self::ReadIt => "“It” is the file we last worked on. I will read that.",
            Self::Write { .. } => "They want a file. I will write it, then check that it is there.",
            Self::Edit { .. } => "A change in a file: read it, replace the text, and look again.",
            Self::RunFile(_) => "They want to run a file. Its ending tells which program runs it.",
            Self::RunAgain => "“It” is what we last worked on. I will run that again.",
            Self::Command(_) => "A command to run. I will run it in the sandbox's shell.",
            Self::LongAnswer { .. } => {
                "They want a long answer. No tool is needed for that: I have one at hand, about \
                 what happens while an agent works."
            }
            Self::FixLoop => {
                "A job in steps: write a program, run it, read what went wrong, fix just that, and \
                 run it again until it works."
            }
            Self::ExplainRepository => {
                "First see what is there, then read what explains itself, then run the tests."
            }
            Self::CleanSpreadsheet(_) => {
                "Find the table, look at it, write a script that cleans it, run it, and compare."
            }
            Self::WriteScript(_) => "I will write the script, run it, and show what it prints.",
            Self::FindSlowPart(_) => {
                "Measure before changing anything: profile it, find where the time goes, fix that \
                 place, and measure again."
            }
            Self::Unknown => "I do not know this kind of request. I should say so.",
        }
    }
}

/// `run: …`, `$ …`, `run the command …`, and commands in backticks after a verb.
fn explicit_command(message: &str, lower: &str) -> Option<Request> {
    const OPENINGS: &[&str] = &[
        "run:",
        "execute:",
        "$ ",
        "run the command:",
        "run the command ",
        "execute the command ",
        "run this command:",
        "run this:",
        "please run:",
        "please run the command ",
    ];
    let mut command = OPENINGS.iter().find_map(|opening| {
        lower.starts_with(opening).then(|| message.get(opening.len()..)).flatten()
    });
    if command.is_none() && has_any(lower, &["run ", "execute ", "exec "]) {
        let position = lower.find("run ").or_else(|| lower.find("exec"))?;
        // Not in the middle of "write `x` and run it".
        if !has_any(lower.get(..position)?, &["write", "create", "make", "save"]) {
            command = marked(message.get(position..)?, &['`']);
        }
    }
    let command = command?;
    let block = fenced_block(command).map(|block| block.text);
    let command = block.unwrap_or(command).trim().trim_matches('`').trim();
    if command.is_empty() {
        return None;
    }
    let file = looks_like_path(command) && is_file(command);
    Some(if file { Request::RunFile(command.into()) } else { Request::Command(command.into()) })
}

/// `ask me …`
fn ask(message: &str, lower: &str) -> Option<Request> {
    Asked::read(message, lower).map(Request::Ask)
}

/// A greeting, or the question what there is to ask for.
fn help(_: &str, lower: &str) -> Option<Request> {
    const ALONE: &[&str] =
        &["help", "hello", "hello there", "hi", "hi there", "hey", "who are you", "what are you"];
    const SIGNS: &[&str] = &[
        "what can you do",
        "what can i ask",
        "what else can you do",
        "what do you understand",
        "how can you help",
    ];
    let alone = ALONE.contains(&lower.trim_end_matches(['.', '!', '?']));
    (alone || has_any(lower, SIGNS)).then_some(Request::Help)
}

/// `remember: …`, `remember that …`.
fn remember(message: &str, lower: &str) -> Option<Request> {
    const OPENINGS: &[&str] = &["remember:", "remember that ", "remember "];
    let polite = lower.starts_with("please ");
    let begin = if polite { "please ".len() } else { 0 };
    let rest = lower.get(begin..)?;
    let opening = OPENINGS.iter().find(|opening| rest.starts_with(**opening))?;
    let note = message.get(begin + opening.len()..)?.trim();
    (!note.is_empty()).then(|| Request::Remember(note.to_owned()))
}

fn recall(_: &str, lower: &str) -> Option<Request> {
    const SIGNS: &[&str] = &[
        "do you remember",
        "what did i just",
        "what did i ask",
        "what i asked",
        "what i just asked",
        "what was my last",
        "what was my first",
        "what was my previous",
        "my previous message",
        "my last message",
        "my last question",
        "what have we done",
        "what did we do",
        "what do you remember",
        "what did i say",
    ];
    has_any(lower, SIGNS).then_some(Request::Recall)
}

/// `replace X with Y in FILE`, `change X to Y in FILE`, `in FILE, replace X with Y`.
fn edit(message: &str, lower: &str) -> Option<Request> {
    let forms = [("replace ", " with "), ("change ", " to ")];
    let (verb, joint) = forms.into_iter().find(|(verb, joint)| has_all(lower, &[verb, joint]))?;
    let path = words::paths(message).into_iter().next_back()?;
    let (before, rest) = after(message, lower, verb)?;
    let (rest, rest_lower) = (rest, lower.get(before + verb.len()..)?);
    let split = rest_lower.find(joint)?;
    let old = rest.get(..split)?;
    let new = rest.get(split + joint.len()..)?;
    let new_end = words::end_before_path(new, &path);
    let (old, new) = (words::unquoted(old), words::unquoted(new.get(..new_end)?));
    (!old.is_empty()).then_some(Request::Edit { path, old, new })
}

fn long_answer(_: &str, lower: &str) -> Option<Request> {
    let long = has_any(lower, &["long ", "detailed", "lengthy", "in detail"])
        && has_any(
            lower,
            &["answer", "explanation", "explain", "text", "essay", "article", "markdown", "guide"],
        );
    let showcase = lower.contains("markdown") && !lower.contains(".md");
    (long || showcase).then(|| {
        let number = words::number(lower).filter(|number| *number >= 1000);
        Request::LongAnswer { length: number.unwrap_or(DEFAULT_LENGTH).min(MAX_LENGTH) }
    })
}

/// A verb, a path, and what goes into it.
fn write(message: &str, lower: &str) -> Option<Request> {
    let verb = has_any(lower, &["write ", "create ", "make ", "save ", "put ", "add a file"]);
    let block = fenced_block(message);
    let head = block.as_ref().map_or(message, |block| block.before);
    if !verb {
        return None;
    }
    let path = words::paths(head).into_iter().next()?;
    let head_lower = head.to_lowercase();
    let run = has_any(&head_lower, &["and run it", "then run it", "and execute it", "run it."]);
    let content = match block {
        Some(block) => Some(block.text.to_owned()),
        None => words::content(message, &path),
    };
    let content = content.or_else(|| lower.contains("empty").then(String::new))?;
    Some(Request::Write { path, content, run })
}

fn fix_loop(_: &str, lower: &str) -> Option<Request> {
    let job = has_all(lower, &["fix", "run"])
        || has_all(lower, &["fix", "program"])
        || has_any(lower, &["longer job", "long job"]);
    let other = has_any(lower, &["slow", "profile"]);
    (job && !other).then_some(Request::FixLoop)
}

/// `run FILE`, `run it again`, `run ls -la`.
fn run(message: &str, lower: &str) -> Option<Request> {
    const VERBS: &[&str] = &["run ", "execute ", "start "];
    // Words after "run" that begin a description rather than a command.
    const NOT_COMMANDS: &[&str] =
        &["a", "an", "the", "my", "your", "some", "all", "this", "that", "it", "and", "what"];
    let (verb, (_, rest)) =
        VERBS.iter().find_map(|verb| Some((*verb, after(message, lower, verb)?)))?;
    let rest_lower = rest.to_lowercase();
    let alone = rest_lower.trim_end_matches(['.', '!', '?']);
    if ["it", "it again", "that", "that again", "again", "the file", "the script", "the program"]
        .contains(&alone)
    {
        return Some(Request::RunAgain);
    }
    let leading = lower.trim_start_matches("please ").trim_start_matches("can you ");
    let first = rest.split_whitespace().next()?;
    if let Some(path) = words::paths(rest).into_iter().next()
        && is_file(&path)
        && (first.contains(path.as_str()) || NOT_COMMANDS.contains(&first) || first == "file")
    {
        return Some(Request::RunFile(path));
    }
    let is_command = leading.starts_with(verb)
        && !NOT_COMMANDS.contains(&rest_lower.split_whitespace().next()?)
        && first.chars().all(|c| c.is_ascii_lowercase() || "0123456789_-./".contains(c));
    is_command.then(|| Request::Command(rest.trim_end_matches(['.', '!', '?']).to_owned()))
}

/// The four starters of the empty page.
fn starter(message: &str, lower: &str) -> Option<Request> {
    let path = || words::paths(message).into_iter().next();
    if has_any(lower, &["explain", "describe", "understand"])
        && has_any(lower, &["repository", "repo", "codebase", "code base", "project"])
    {
        return Some(Request::ExplainRepository);
    }
    if has_any(lower, &["clean", "tidy"])
        && has_any(lower, &["spreadsheet", "csv", "table", "sheet", "export"])
    {
        return Some(Request::CleanSpreadsheet(path().filter(|path| path.ends_with(".csv"))));
    }
    if has_any(lower, &["slow", "bottleneck", "profile"]) {
        return Some(Request::FindSlowPart(path().filter(|path| path.ends_with(".py"))));
    }
    let writes = has_any(lower, &["write", "create", "make"]);
    if writes && has_any(lower, &["script", "program"]) {
        let named = [
            (Script::Primes, "prime"),
            (Script::Fibonacci, "fibonacci"),
            (Script::FizzBuzz, "fizz"),
        ];
        let script = named.into_iter().find(|(_, word)| lower.contains(word));
        return Some(Request::WriteScript(
            script.map_or(Script::Unspecified, |(script, _)| script),
        ));
    }
    None
}

fn list(message: &str, lower: &str) -> Option<Request> {
    let asked = lower == "ls"
        || lower.starts_with("ls ")
        || (has_any(lower, &["list", "show", "what", "which", "see"])
            && has_any(lower, &["files", "folder", "directory", "workspace"]));
    asked.then(|| {
        let folder = message.split_whitespace().map(words::bare).find(|word| {
            word.contains('/') && word.chars().all(|c| c.is_alphanumeric() || "/._-~".contains(c))
        });
        Request::List(folder.map(str::to_owned))
    })
}

fn read(message: &str, lower: &str) -> Option<Request> {
    const IT: &[&str] = &["read it", "read it to me", "show it", "show it to me", "open it"];
    if IT.contains(&lower.trim_end_matches(['.', '!', '?'])) {
        return Some(Request::ReadIt);
    }
    const VERBS: &[&str] = &[
        "read",
        "show",
        "print",
        "cat ",
        "open",
        "display",
        "view",
        "what is in",
        "what's in",
        "see",
    ];
    let path = words::paths(message).into_iter().next()?;
    has_any(lower, VERBS).then_some(Request::Read(path))
}

/// Whether a name is that of a file rather than of a command: a program by its ending, or something
/// that is only read. A command may have a point in its name, too.
fn is_file(path: &str) -> bool {
    const READ_ONLY: &[&str] = &[
        "txt", "md", "csv", "tsv", "json", "toml", "yaml", "yml", "xml", "html", "css", "log",
        "ini", "cfg", "conf", "svg", "png", "jpg", "pdf",
    ];
    let ending = path.rsplit_once('.').map(|(_, ending)| ending);
    interpreter(path).is_some() || ending.is_some_and(|ending| READ_ONLY.contains(&ending))
}

/// The program that runs a file, by the file's ending.
pub(super) fn interpreter(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "py" => Some("python3"),
        "js" | "mjs" | "cjs" => Some("node"),
        "sh" => Some("sh"),
        "bash" => Some("bash"),
        "pl" => Some("perl"),
        "rb" => Some("ruby"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

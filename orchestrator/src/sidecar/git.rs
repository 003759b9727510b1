//! Version control through the sandbox's own `git`, run as any other command of the sandbox is.
//!
//! Git is asked for what machines read, and what it answers is taken for what a sandbox says: it is
//! bounded, and nothing in it is trusted. A repository's hooks and settings may do in the sandbox what
//! commands may; programs that only show things differently are left out. Filters are not: without
//! them git takes what they wrote for changed.

mod change;
mod clone;
mod diff;
mod log;
mod look;
mod routes;
mod status;

use sandbox_sdk::types::ErrorCode;

use super::{
    api::Problem,
    commands::{CommandRunner, Ended, Program},
};
pub(super) use clone::PATIENCE as CLONE_PATIENCE;
pub(super) use routes::routes;

/// No setting of a repository's may start something only to show or to watch, or put anything into
/// an answer that its reader does not expect.
const ALWAYS: [&str; 12] = [
    "git",
    "--no-pager",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "color.ui=false",
    "-c",
    "color.diff=false",
    "-c",
    "i18n.logOutputEncoding=UTF-8",
    "-c",
    "log.showSignature=false",
];
/// Bytes kept of an answer of git's.
const MAX_ANSWER: usize = 4 << 20;
/// Milliseconds for what is done on this machine, and for what may ask another one.
const PATIENCE: u64 = 30_000;
const FAR_PATIENCE: u64 = 120_000;
/// Characters that are told of what git says when it refuses.
const MAX_WORDS: usize = 2000;
const NOT_INSTALLED: &str = "git is not installed in this sandbox";
/// Longest name of a branch, a tag or another revision, in bytes.
const MAX_REVISION: usize = 256;

/// Git in one folder.
#[derive(Clone)]
struct Git {
    commands: CommandRunner,
    cwd: Option<String>,
}

impl Git {
    /// What git answers when all goes well.
    async fn ask(&self, words: &[&str]) -> Result<Ended, Problem> {
        let ended = self.run(words, PATIENCE).await?;
        if ended.code == 0 { Ok(ended) } else { Err(refusal(&ended)) }
    }

    /// Runs git, however it ends. `patience`: milliseconds.
    async fn run(&self, words: &[&str], patience: u64) -> Result<Ended, Problem> {
        let env = [
            // Nobody is there to answer a question.
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "true"),
            ("SSH_ASKPASS", "true"),
            ("GIT_EDITOR", "true"),
            ("GIT_MERGE_AUTOEDIT", "no"),
            // Its words are looked at.
            ("LC_ALL", "C"),
        ];
        let own = |text: &str| text.to_owned();
        let program = Program {
            words: ALWAYS.iter().chain(words).copied().map(own).collect(),
            cwd: self.cwd.clone(),
            env: env.map(|(name, value)| (own(name), own(value))).into(),
            timeout: Some(patience),
            input: None,
        };
        let ended = self.commands.perform(&program, MAX_ANSWER).await?;
        if ended.timed_out {
            return Err(Problem::new(ErrorCode::Timeout, "git took too long"));
        }
        Ok(ended)
    }
}

/// Why git did not do it, in its own words.
fn refusal(ended: &Ended) -> Problem {
    let said = words(ended);
    let said_lower = said.to_ascii_lowercase();
    if said_lower.contains("not a git repository") {
        let words = "there is no git repository in this folder; `git init` makes one";
        return Problem::new(ErrorCode::InvalidState, words);
    }
    // The supervisor says so of a program that is not there.
    if ended.code == 127 {
        return Problem::not_implemented("git", NOT_INSTALLED);
    }
    let unknown = [
        "bad revision",
        "unknown revision",
        "invalid reference",
        "not a valid branch name",
        "did not match any file",
        "bad object",
    ];
    let is_unknown = unknown.iter().any(|words| said_lower.contains(words));
    let code = if is_unknown { ErrorCode::Validation } else { ErrorCode::InvalidState };
    Problem::new(code, format!("git: {said}"))
}

/// What git says of its failure: on standard error, but sometimes only on the other one.
fn words(ended: &Ended) -> String {
    let texts = [&ended.stderr, &ended.stdout].map(|bytes| String::from_utf8_lossy(bytes));
    let said = texts.iter().map(|text| text.trim()).find(|text| !text.is_empty());
    let said = said.unwrap_or("it failed without a word");
    said.chars().take(MAX_WORDS).collect()
}

/// A revision that can't be taken for anything else.
fn revision(name: &str) -> Result<&str, Problem> {
    if name.is_empty() || name.len() > MAX_REVISION {
        return Err(Problem::invalid("ref must be 1 to 256 bytes long"));
    }
    if name.starts_with('-') || name.chars().any(char::is_control) {
        return Err(Problem::invalid("ref must not begin with - or hold control characters"));
    }
    Ok(name)
}

/// The pieces of an answer, each ended by a zero byte. One that is cut off is left out.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = bytes.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
    let whole = bytes.get(..whole).unwrap_or_default();
    whole.split_inclusive(|byte| *byte == 0).map(|piece| piece.strip_suffix(b"\0").unwrap_or(piece))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_looks_like_an_option_is_a_revision() {
        for name in ["main", "v1.0", "HEAD~3", "origin/main", "a..b", "@{u}", "ä"] {
            assert!(revision(name).is_ok(), "{name}");
        }
        let long = "x".repeat(257);
        for name in ["", "-", "--output=/tmp/x", "-b", "a\0b", "a\nb", &long] {
            assert!(revision(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_git_refuses_is_told_in_its_words() {
        let ended = |code, stderr: &str, stdout: &str| Ended {
            code,
            stdout: stdout.into(),
            stderr: stderr.into(),
            truncated: false,
            timed_out: false,
            duration: 1,
        };
        let missing = refusal(&ended(128, "fatal: not a git repository (or any …): .git\n", ""));
        assert_eq!(missing.code, ErrorCode::InvalidState);
        assert!(missing.message.contains("git init"));
        let clean = refusal(&ended(1, "", "nothing to commit, working tree clean\n"));
        assert_eq!(clean.message, "git: nothing to commit, working tree clean");
        assert_eq!(refusal(&ended(128, "fatal: bad revision 'x'", "")).code, ErrorCode::Validation);
        assert!(refusal(&ended(1, &"x".repeat(100_000), "")).message.len() < 3000);
        let missing = refusal(&ended(127, "git: not found", ""));
        assert_eq!(missing.code, ErrorCode::NotImplemented);
        assert_eq!(missing.about(), [("feature", "git"), ("reason", NOT_INSTALLED)]);
    }

    #[test]
    fn a_piece_that_is_cut_off_is_left_out() {
        let list = |bytes: &'static [u8]| pieces(bytes).collect::<Vec<_>>();
        assert_eq!(list(b"a\0b\0c"), [b"a", b"b"]);
        assert_eq!(list(b"a\0\0"), [&b"a"[..], b""]);
        assert!(list(b"").is_empty() && list(b"abc").is_empty());
    }

    proptest! {
        #[test]
        fn pieces_are_what_was_put_together(
            names in prop::collection::vec(prop::collection::vec(1_u8.., 0..8), 0..8),
        ) {
            let joined: Vec<u8> =
                names.iter().flat_map(|name| name.iter().copied().chain([0])).collect();
            let found: Vec<Vec<u8>> = pieces(&joined).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(found, names);
        }
    }
}

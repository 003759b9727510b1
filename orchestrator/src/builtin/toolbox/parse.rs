//! Reads a call that a model made.

use super::{Invocation, arguments::Arguments, unknown};
use crate::interactions::Question;

impl Invocation {
    /// Reads a call with all the mistakes that models make and that leave no doubt.
    ///
    /// # Errors
    /// In words for the model, so that it can do better.
    pub(in crate::builtin) fn read(tool: &str, raw: &str) -> Result<Self, String> {
        const PATH: &[&str] = &["file_path", "path", "filePath", "file", "filename", "target"];
        const FOLDER: &[&str] = &["path", "folder", "dir", "directory", "file_path"];
        const OLD: &[&str] = &["old_string", "old_str", "oldString", "old", "old_text"];
        const NEW: &[&str] = &["new_string", "new_str", "newString", "new", "new_text"];
        let mut input = Arguments::read(raw, tool)?;
        let folder = |input: &mut Arguments| {
            let path = input.text(FOLDER).filter(|path| !path.trim().is_empty());
            path.unwrap_or_else(|| crate::sidecar::WORKSPACE.to_owned())
        };
        Ok(match tool {
            "bash" => Self::Bash {
                timeout_ms: input
                    .number(&["timeout_seconds"])
                    .map(|seconds| seconds.saturating_mul(1000))
                    .or_else(|| input.number(&["timeout", "timeout_ms"]))
                    .filter(|millis| *millis > 0),
                command: input.needed(&["command", "cmd", "script", "code", "input"])?,
            },
            "read" => Self::Read {
                path: input.needed(PATH)?,
                first: input.count(&["offset", "start_line", "start"]).unwrap_or(1).max(1),
                lines: input.count(&["limit", "lines"]).unwrap_or(usize::MAX).max(1),
            },
            "write" => Self::Write {
                path: input.needed(PATH)?,
                content: input.needed(&["content", "contents", "text", "file_text", "data"])?,
            },
            "edit" => Self::Edit {
                path: input.needed(PATH)?,
                old: input.needed(OLD)?,
                new: input.needed(NEW)?,
                all: input.flag(&["replace_all", "replaceAll", "all"]),
            },
            "search" => {
                let pattern = input.text(&["pattern", "regex", "query"]).unwrap_or_default();
                let glob = input.text(&["glob", "include", "name", "file_pattern"]);
                let glob = glob.unwrap_or_default();
                if pattern.is_empty() && glob.is_empty() {
                    return Err("search needs a pattern or a glob.".into());
                }
                Self::Search { pattern, glob, path: folder(&mut input) }
            }
            "list" => Self::List { path: folder(&mut input) },
            "ask_user" => Self::Ask(Question {
                options: input.options(&["options", "choices", "answers"]),
                multi: input.flag(&["multiple", "multi", "multiSelect"]),
                custom: true,
                text: input.needed(&["question", "prompt", "text", "message"])?,
                ..Question::default()
            }),
            _ => return Err(unknown(tool)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::toolbox::canonical;

    fn read(tool: &str, raw: &str) -> Result<Invocation, String> {
        Invocation::read(canonical(tool).unwrap(), raw)
    }

    #[test]
    fn calls_are_understood_in_the_words_of_other_agents() {
        let bash = |command: &str| Invocation::Bash { command: command.into(), timeout_ms: None };
        assert_eq!(read("Bash", r#"{"command":"ls"}"#), Ok(bash("ls")));
        assert_eq!(read("exec_command", r#"{"cmd":["bash","-lc","ls -l"]}"#), Ok(bash("ls -l")));
        assert_eq!(read("functions.bash", "ls -la"), Ok(bash("ls -la")));
        let edit = r#"{"path":"a","old_str":"x","new_str":"","replaceAll":"true"}"#;
        let expected =
            Invocation::Edit { path: "a".into(), old: "x".into(), new: String::new(), all: true };
        assert_eq!(read("str_replace", edit), Ok(expected));
        let expected = Invocation::Read { path: "a".into(), first: 5, lines: 10 };
        assert_eq!(read("cat", r#"{"file":"a","offset":"5","limit":10.0}"#), Ok(expected));
        assert_eq!(read("ls", ""), Ok(Invocation::List { path: "/workspace".into() }));
        let options = r#"["red", {"label": "blue", "description": "like the sky"}, 7, ""]"#;
        let asked = format!(r#"{{"question":"Which?","options":{options},"multiSelect":true}}"#);
        let options = vec![("red".into(), None), ("blue".into(), Some("like the sky".into()))];
        let expected =
            Question { text: "Which?".into(), options, multi: true, custom: true, secret: false };
        assert_eq!(read("AskUserQuestion", &asked), Ok(Invocation::Ask(expected)));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(read("write", r#"{"file_path":"a"}"#).unwrap_err().contains("content"));
        assert!(read("search", "{}").unwrap_err().contains("pattern"));
        assert_eq!(canonical("launch_missiles"), None);
        assert!(unknown("fly").contains("bash"));
    }

    #[test]
    fn a_call_read_again_from_what_is_shown_of_it_is_the_same() {
        let calls = [
            Invocation::Bash { command: "x".into(), timeout_ms: Some(5_000) },
            Invocation::Read { path: "a".into(), first: 3, lines: usize::MAX },
            Invocation::Search { pattern: String::new(), glob: "*.rs".into(), path: "src".into() },
            Invocation::Edit { path: "a".into(), old: "b".into(), new: "c".into(), all: false },
            Invocation::Ask(Question {
                text: "Which?".into(),
                options: vec![("a".into(), None), ("b".into(), None)],
                custom: true,
                ..Question::default()
            }),
        ];
        let tools = ["bash", "read", "search", "edit", "ask_user"];
        for (call, tool) in calls.into_iter().zip(tools) {
            assert_eq!(Invocation::read(tool, &call.input().to_string()), Ok(call));
        }
    }
}

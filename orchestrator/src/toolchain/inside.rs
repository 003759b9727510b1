//! Which tools a container has. Its image is not this machine, so it is asked itself, by one command.

use std::{collections::BTreeMap, path::PathBuf};

use sandbox_sdk::types::Exec;

use super::{KNOWN, Tool, version_in};

/// Milliseconds for all of them. What was told by then is what is there.
const PATIENCE: u64 = 20_000;
/// Bytes of a path that is told.
const MAX_PATH: usize = 1024;

/// Tells of one program what it is, where it is, and the first line of what it says of itself. Not in
/// the workspace: what lies there can have a tool act as another version of it.
const ASK: &str = r#"cd / || exit
ask() {
  at=$(command -v "$1") || return 0
  said=$("$at" "$2" 2> /dev/null < /dev/null)
  printf '%s\t%s\t%.200s\n' "$1" "$at" "${said%%
*}"
}
"#;

/// The command that tells of all known tools.
pub(crate) fn question() -> Exec {
    let mut command = ASK.to_owned();
    let mut asked = Vec::new();
    for &(_, program, flag) in KNOWN {
        if !asked.contains(&program) {
            asked.push(program);
            command.extend(["ask ", program, " ", flag, "\n"]);
        }
    }
    Exec { command, cwd: None, env: BTreeMap::new(), timeout: Some(PATIENCE) }
}

/// The tools that are told of. Whoever is in the sandbox may have written anything.
pub(crate) fn told(said: &str) -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    for line in said.lines() {
        let mut fields = line.splitn(3, '\t');
        let (Some(program), Some(path), Some(version)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let is_path =
            path.starts_with('/') && path.len() <= MAX_PATH && !path.contains(char::is_control);
        if let Some(&(name, ..)) = KNOWN.iter().find(|(_, known, _)| *known == program)
            && is_path
            && tools.iter().all(|tool| tool.name != name)
            && let Some(version) = version_in(version)
        {
            tools.push(Tool { name, version, path: PathBuf::from(path) });
        }
    }
    tools
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::{super::list, *};
    use crate::sidecar;

    #[tokio::test]
    async fn the_command_tells_what_is_there() {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(question().command).env_clear().env("PATH", sidecar::PATH);
        let output = shell.stdin(Stdio::null()).output().await.unwrap();
        let inside = told(&String::from_utf8(output.stdout).unwrap());
        let here = list().await;
        let shown = |tools: &[Tool]| {
            let shown = tools.iter().map(|tool| (tool.name, tool.version.clone()));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(shown(&inside), shown(&here));
        assert!(inside.iter().all(|tool| tool.path.is_absolute()));
    }

    #[test]
    fn nothing_is_believed_but_a_known_tool_with_a_path_and_a_version() {
        let long = format!("deno\t/{}\t1.0\n", "x".repeat(MAX_PATH));
        let said = "git\t/usr/bin/git\tgit version 2.47.3\n\
                    git\t/tmp/git\tgit version 9\n\
                    fortran\t/usr/bin/fortran\t77\n\
                    node\tnode\tv22.1.0\n\
                    ruby\t/usr/bin/ru\u{1b}by\t3.3\n\
                    php\t/usr/bin/php\tno\n\
                    bun\n\
                    rustc\t/usr/bin/rustc\trustc 1.95.0\tx\n";
        let tools = told(&format!("{said}{long}"));
        let shown: Vec<_> = tools.iter().map(|tool| (tool.name, &*tool.version)).collect();
        assert_eq!(shown, [("git", "2.47.3"), ("rust", "1.95.0")]);
        assert_eq!(tools[0].path, PathBuf::from("/usr/bin/git"));
        assert!(told("").is_empty());
    }
}

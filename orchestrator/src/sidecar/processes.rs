//! Processes that go on after the request which started them.

mod log;
mod process;
mod routes;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Signal;
use sandbox_sdk::types::{ErrorCode, ProcessInfo, RunCode, SpawnProcess};

use super::{
    api::Problem,
    commands::{CommandRunner, Ends, PATH, Program, shell},
};
use process::Process;
pub(super) use routes::routes;

/// Processes of one sandbox that run at the same time.
const MAX_RUNNING: usize = 32;
/// Those that are kept once they have ended.
const MAX_ENDED: usize = 32;
/// For those that somebody waits for.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// Bytes of standard input.
const MAX_STDIN: usize = 1 << 20;

/// Languages, and what takes code in them as an argument.
const LANGUAGES: [(&[&str], &str, &str); 6] = [
    (&["python", "python3", "py"], "python3", "-c"),
    (&["javascript", "js", "node", "nodejs"], "node", "-e"),
    (&["bash", "sh", "shell"], "bash", "-c"),
    (&["ruby", "rb"], "ruby", "-e"),
    (&["perl"], "perl", "-e"),
    (&["php"], "php", "-r"),
];

/// The processes of the sandbox that the API has started. Cheap to clone.
#[derive(Clone)]
pub(super) struct Processes {
    commands: CommandRunner,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    by_pid: BTreeMap<i32, Arc<Process>>,
    /// In the order in which they were started.
    order: Vec<i32>,
}

impl Processes {
    pub(super) fn new(commands: CommandRunner) -> Self {
        Self { commands, table: Arc::default() }
    }

    async fn spawn(&self, wanted: SpawnProcess) -> Result<Arc<Process>, Problem> {
        let (shown, words) = match (wanted.command, wanted.executable) {
            (Some(command), None) if !command.trim().is_empty() && wanted.args.is_empty() => {
                (command.clone(), vec![shell().to_owned(), "-c".to_owned(), command])
            }
            (None, Some(executable)) if !executable.is_empty() => {
                let words = [vec![executable], wanted.args].concat();
                (words.join(" "), words)
            }
            _ => {
                let words = "either a command is needed, or an executable with its args";
                return Err(Problem::invalid(words));
            }
        };
        let limit = time_limit(wanted.timeout_ms, wanted.blocking);
        let program =
            Program { words, cwd: wanted.cwd, env: wanted.env, timeout: limit, input: None };
        self.start(program, &shown, wanted.inherit_env.unwrap_or(true), wanted.stdin).await
    }

    async fn run_code(&self, wanted: RunCode) -> Result<Arc<Process>, Problem> {
        let language = wanted.language.as_deref().unwrap_or("python").to_ascii_lowercase();
        let known = LANGUAGES.iter().find(|(names, ..)| names.contains(&language.as_str()));
        let Some((_, interpreter, option)) = known else {
            let names: Vec<_> = LANGUAGES.iter().filter_map(|(names, ..)| names.first()).collect();
            let words = format!("language must be one of {names:?}");
            return Err(Problem::invalid(words));
        };
        if !PATH.split(':').any(|folder| Path::new(folder).join(interpreter).exists()) {
            let words = format!("This sandbox has no {interpreter}, so it can't run {language}.");
            return Err(Problem::not_implemented("run-code", words));
        }
        let shown = format!("{interpreter} {option} {}", wanted.code);
        let is_python = *interpreter == "python3";
        let code = if is_python { dedented(wanted.code) } else { wanted.code };
        let words = vec![(*interpreter).to_owned(), (*option).to_owned(), code];
        let limit = time_limit(wanted.timeout_ms, true);
        let program =
            Program { words, cwd: wanted.cwd, env: wanted.env, timeout: limit, input: None };
        self.start(program, &shown, true, None).await
    }

    async fn start(
        &self,
        program: Program,
        shown: &str,
        inherit: bool,
        stdin: Option<String>,
    ) -> Result<Arc<Process>, Problem> {
        if stdin.as_ref().is_some_and(|text| text.len() > MAX_STDIN) {
            return Err(Problem::invalid(format!("stdin has at most {MAX_STDIN} bytes")));
        }
        self.check_room(MAX_RUNNING - 1)?;
        let ends = if stdin.is_some() { Ends::All } else { Ends::Output };
        let lasting = self.commands.launch(&program, inherit, ends).await?;
        let process = Arc::new(Process::new(lasting.root, shown, program.cwd));
        let limit = program.timeout.map(|limit| Duration::from_millis(limit).min(MAX_TIMEOUT));
        let commands = self.commands.clone();
        tokio::spawn(Arc::clone(&process).follow(commands, lasting, stdin, limit));
        let mut table = self.table();
        // A pid that the kernel gave anew is the new process's.
        table.order.retain(|pid| *pid != process.pid);
        table.order.push(process.pid);
        table.by_pid.insert(process.pid, Arc::clone(&process));
        table.forget_oldest();
        drop(table);
        // Others may have been started meanwhile.
        if let Err(full) = self.check_room(MAX_RUNNING) {
            process.send(Signal::KILL, true);
            return Err(full);
        }
        Ok(process)
    }

    fn check_room(&self, most: usize) -> Result<(), Problem> {
        let table = self.table();
        let running = table.by_pid.values().filter(|process| process.is_running()).count();
        if running <= most {
            return Ok(());
        }
        let words = format!("a sandbox runs at most {MAX_RUNNING} processes; end one");
        Err(Problem::new(ErrorCode::QuotaExceeded, words))
    }

    /// Only what was started here.
    fn find(&self, pid: i32) -> Result<Arc<Process>, Problem> {
        let known = self.table().by_pid.get(&pid).cloned();
        let words = "there is no such process";
        known.ok_or_else(|| Problem::not_found("process", &pid.to_string(), words))
    }

    fn list(&self) -> Vec<ProcessInfo> {
        let table = self.table();
        let processes = table.order.iter().filter_map(|pid| table.by_pid.get(pid));
        processes.map(|process| process.info()).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_oldest(&mut self) {
        let by_pid = &self.by_pid;
        let ended = |pid: &&i32| by_pid.get(*pid).is_none_or(|process| !process.is_running());
        let ended: Vec<i32> = self.order.iter().filter(ended).copied().collect();
        for pid in ended.iter().take(ended.len().saturating_sub(MAX_ENDED)) {
            self.by_pid.remove(pid);
            self.order.retain(|kept| kept != pid);
        }
    }
}

/// Milliseconds; none for as long as it takes, which clients ask for by 0. Nobody is kept waiting
/// for ever.
fn time_limit(wanted: Option<u64>, waited_for: bool) -> Option<u64> {
    let usual = match wanted {
        Some(0) => MAX_TIMEOUT,
        Some(millis) => return Some(millis),
        None => DEFAULT_TIMEOUT,
    };
    waited_for.then(|| u64::try_from(usual.as_millis()).unwrap_or(u64::MAX))
}

/// Code as it stands in the text of another program, indented as a whole, which Python does not take.
/// A first line at the margin says that every space is meant.
fn dedented(code: String) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut lines = code.lines().filter(|line| !line.trim().is_empty());
    let Some(margin) = lines.next().map(|first| &first[..indent(first)]) else {
        return code;
    };
    if margin.is_empty() || !lines.all(|line| line.starts_with(margin)) {
        return code;
    }
    let bare = |line: &str| line.strip_prefix(margin).unwrap_or_default().to_owned();
    code.split('\n').map(bare).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_limit_is_asked_for_by_zero() {
        assert_eq!(time_limit(Some(0), false), None);
        assert_eq!(time_limit(Some(0), true), Some(3_600_000));
        assert_eq!(time_limit(Some(5), false), Some(5));
        assert_eq!(time_limit(None, true), Some(120_000));
        assert_eq!(time_limit(None, false), None);
    }

    #[test]
    fn code_that_is_indented_as_a_whole_is_moved_to_the_margin() {
        for (given, meant) in [
            ("\n    if 1:\n        a()\n\n    b()\n  ", "\nif 1:\n    a()\n\nb()\n"),
            ("\ta\n\tb", "a\nb"),
            ("  x = '''\n  y'''", "x = '''\ny'''"),
            // Not as a whole, or not at all.
            ("  a\nb", "  a\nb"),
            ("  a\n\tb", "  a\n\tb"),
            ("if 1:\n  a()", "if 1:\n  a()"),
            (" \n\t", " \n\t"),
            ("", ""),
        ] {
            assert_eq!(dedented(given.to_owned()), meant, "{given:?}");
        }
    }
}

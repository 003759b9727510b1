//! Terminals: shells that people type into, from several places at once and over several visits.

mod backlog;
mod pty;
mod role;
mod routes;
mod socket;
mod terminal;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandbox_sdk::types::{ErrorCode, OpenTerminal};
use tokio::sync::mpsc;

use super::{
    ARGUMENT, Role, WORKSPACE,
    api::Problem,
    commands::{CommandRunner, Ends, Program, shell},
    itself,
};
use pty::{Pty, Size};
pub(super) use role::run as run_role;
pub(super) use routes::routes;
use terminal::{About, MARK, Terminal, WAITING_INPUTS};

/// Terminals of one sandbox whose programs run.
const MAX_RUNNING: usize = 16;
/// Those that are kept once their programs have ended.
const MAX_ENDED: usize = 16;
/// Largest number of columns or rows.
const MAX_SIZE: u16 = 1000;
const DEFAULT_SIZE: Size = Size { cols: 80, rows: 24 };
/// Longest id, and longest name.
const MAX_NAME: usize = 128;
/// Bytes told of the command that one was opened with.
const SHOWN: usize = 1024;

/// The terminals of the sandbox. Cheap to clone.
#[derive(Clone)]
pub(super) struct Terminals {
    commands: CommandRunner,
    all: Arc<Mutex<BTreeMap<String, Arc<Terminal>>>>,
}

impl Terminals {
    pub(super) fn new(commands: CommandRunner) -> Self {
        Self { commands, all: Arc::default() }
    }

    /// Opens one. `connection`: what its socket is opened by, if that is settled already.
    async fn open(
        &self,
        wanted: OpenTerminal,
        connection: Option<&str>,
    ) -> Result<Arc<Terminal>, Problem> {
        let size = size_of(
            wanted.cols.unwrap_or(DEFAULT_SIZE.cols),
            wanted.rows.unwrap_or(DEFAULT_SIZE.rows),
        )?;
        let name = wanted.name.unwrap_or_default();
        if name.len() > MAX_NAME {
            return Err(Problem::invalid(format!("name has at most {MAX_NAME} bytes")));
        }
        self.has_room()?;
        let id = uuid::Uuid::now_v7().simple().to_string();
        let shell = shell();
        let (program, arguments) = itself();
        let role = [ARGUMENT, Role::Terminal.as_str(), shell];
        let start = [program].into_iter().chain(arguments.iter().copied()).chain(role);
        let mut words: Vec<_> = start.map(str::to_owned).collect();
        match &wanted.command {
            Some(command) => words.extend(["-c".to_owned(), command.clone()]),
            None => words.push("-l".to_owned()),
        }
        let mut env = wanted.env;
        env.entry("TERM".to_owned()).or_insert_with(|| "xterm-256color".to_owned());
        env.insert(MARK.to_owned(), id.clone());
        let program = Program { words, cwd: wanted.cwd.clone(), env, ..Program::default() };

        let (pty, programs) = Pty::open(size).map_err(|error| {
            Problem::new(ErrorCode::Unavailable, format!("there is no terminal: {error}"))
        })?;
        let lasting = self.commands.launch(&program, true, Ends::Terminal(programs)).await?;
        let about = About {
            connection: connection.map_or_else(|| id.clone(), str::to_owned),
            name,
            shell: shell.to_owned(),
            command: wanted.command.map(beginning),
            cwd: wanted.cwd.unwrap_or_else(|| WORKSPACE.to_owned()),
            id: id.clone(),
        };
        let (typed, typing) = mpsc::channel(WAITING_INPUTS);
        let terminal = Arc::new(Terminal::new(about, size, pty, lasting.root, typed));
        tokio::spawn(Arc::clone(&terminal).live(lasting.ended, typing));
        let mut all = self.all();
        all.insert(id, Arc::clone(&terminal));
        forget_oldest(&mut all);
        drop(all);
        // Others may have opened some while this one was starting.
        if let Err(full) = self.over_full() {
            self.remove(&terminal.about.id);
            return Err(full);
        }
        Ok(terminal)
    }

    fn has_room(&self) -> Result<(), Problem> {
        self.check_count(MAX_RUNNING - 1)
    }

    fn over_full(&self) -> Result<(), Problem> {
        self.check_count(MAX_RUNNING)
    }

    fn check_count(&self, most: usize) -> Result<(), Problem> {
        if self.all().values().filter(|terminal| terminal.is_running()).count() <= most {
            return Ok(());
        }
        let words = format!("a sandbox has at most {MAX_RUNNING} terminals; close one");
        Err(Problem::new(ErrorCode::QuotaExceeded, words))
    }

    /// The one whose socket is opened by this id, and whether it was there before.
    async fn attach(
        &self,
        connection: &str,
        wanted: OpenTerminal,
    ) -> Result<(Arc<Terminal>, bool), Problem> {
        if let Some(terminal) = self.of_connection(connection) {
            return Ok((terminal, true));
        }
        let opened = self.open(wanted, Some(connection)).await?;
        // Two viewers may have come at the same time: the first terminal is for both.
        let first = self.of_connection(connection).unwrap_or_else(|| Arc::clone(&opened));
        let restored = first.about.id != opened.about.id;
        if restored {
            self.remove(&opened.about.id);
        }
        Ok((first, restored))
    }

    /// Ids are given in the order of time, so that it is the oldest of several.
    fn of_connection(&self, connection: &str) -> Option<Arc<Terminal>> {
        let all = self.all();
        let fits = |terminal: &&Arc<Terminal>| {
            let about = &terminal.about;
            about.id == connection || about.connection == connection && terminal.is_running()
        };
        all.values().find(fits).cloned()
    }

    fn find(&self, id: &str) -> Result<Arc<Terminal>, Problem> {
        let known = self.all().get(id).cloned();
        known
            .or_else(|| self.of_connection(id))
            .ok_or_else(|| Problem::not_found("terminal", id, "there is no such terminal"))
    }

    /// Whether it was there.
    fn remove(&self, id: &str) -> bool {
        let removed = self.all().remove(id);
        if let Some(terminal) = &removed {
            terminal.close();
        }
        removed.is_some()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Terminal>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_oldest(all: &mut BTreeMap<String, Arc<Terminal>>) {
    let ended = all.values().filter(|terminal| !terminal.is_running());
    let ended: Vec<String> = ended.map(|terminal| terminal.about.id.clone()).collect();
    for id in ended.iter().take(ended.len().saturating_sub(MAX_ENDED)) {
        all.remove(id);
    }
}

fn beginning(mut command: String) -> String {
    command.truncate(command.floor_char_boundary(SHOWN));
    command
}

fn size_of(cols: u16, rows: u16) -> Result<Size, Problem> {
    if (1..=MAX_SIZE).contains(&cols) && (1..=MAX_SIZE).contains(&rows) {
        return Ok(Size { cols, rows });
    }
    Err(Problem::invalid(format!("cols and rows are numbers from 1 to {MAX_SIZE}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_a_size_that_programs_can_live_with() {
        assert_eq!(size_of(80, 24).unwrap(), DEFAULT_SIZE);
        for (cols, rows) in [(0, 24), (80, 0), (1001, 24), (80, 1001), (u16::MAX, u16::MAX)] {
            assert!(size_of(cols, rows).is_err(), "{cols} {rows}");
        }
    }
}

//! Coding agents that are installed on this machine and can work in a sandbox.
//!
//! They are looked for in folders of the product's own, `<folder>/<id>/node_modules/…`, and on the
//! `PATH`. A sandbox sees only the part of an installation that it runs, read-only.

mod find;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use sandbox_sdk::types::{AgentInfo, WireFormat};
use serde::{Deserialize, Serialize};

use crate::sidecar;

/// A coding agent with a command line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cli {
    #[serde(rename = "opencode")]
    OpenCode,
    ClaudeCode,
    Codex,
}

impl Cli {
    /// All of them, the preferred one first.
    pub const ALL: [Self; 3] = [Self::OpenCode, Self::ClaudeCode, Self::Codex];

    /// The `type` of a `BackendChoice`, and the name of its folder among the agents.
    pub fn id(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode",
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
        }
    }

    /// The agent of that id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cli| cli.id() == id)
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenCode => "OpenCode",
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
        }
    }

    /// Formats it can speak to a model, the preferred one first.
    pub fn formats(self) -> &'static [WireFormat] {
        match self {
            Self::OpenCode => {
                &[WireFormat::Messages, WireFormat::Responses, WireFormat::ChatCompletions]
            }
            Self::ClaudeCode => &[WireFormat::Messages],
            Self::Codex => &[WireFormat::Responses],
        }
    }

    /// The package that brings it.
    pub fn package(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode-ai",
            Self::ClaudeCode => "@anthropic-ai/claude-code",
            Self::Codex => "@openai/codex",
        }
    }

    /// What it is called on the `PATH`.
    fn command(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode",
            Self::ClaudeCode => "claude",
            Self::Codex => "codex",
        }
    }
}

/// An installed agent, and what a sandbox needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProgram {
    pub cli: Cli,
    /// As its package says; a program on its own does not tell without being run.
    pub version: Option<String>,
    /// Folder or file on the host that sandboxes see.
    pub source: PathBuf,
    /// The program, below `source`; empty when `source` is the program.
    pub binary: PathBuf,
}

impl AgentProgram {
    /// The program on the host.
    pub fn path(&self) -> PathBuf {
        // `source` itself, without a slash, where nothing is to be added to it.
        if self.binary.as_os_str().is_empty() {
            self.source.clone()
        } else {
            self.source.join(&self.binary)
        }
    }

    /// Where `source` is in a sandbox.
    pub(crate) fn place(&self) -> PathBuf {
        Path::new(sidecar::AGENTS).join(self.cli.id())
    }

    /// The program in a sandbox.
    pub(crate) fn inside(&self) -> PathBuf {
        if self.binary.as_os_str().is_empty() {
            self.place()
        } else {
            self.place().join(&self.binary)
        }
    }
}

/// How long an agent may be silent before it counts as stuck, and how long it waits itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// While it starts for the first time; after that it is started anew, with twice the time.
    pub start: Duration,
    /// While it neither runs a tool nor waits for its model.
    pub idle: Duration,
    /// While it waits for its model, and the model sends nothing.
    pub model: Duration,
    /// For how long an agent that has ended its turn stays ready for the session's next one.
    pub linger: Duration,
    /// How long it waits for a person's answer.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(15),
            // Above what the slowest takes to start on a machine with too much to do.
            idle: Duration::from_secs(120),
            // A model on the own machine may have to be loaded first, and reads long prompts slowly.
            model: Duration::from_secs(600),
            linger: Duration::from_secs(120),
            answer: Duration::from_secs(600),
        }
    }
}

/// The agents that are installed: in one of the folders, the first of them that has it, else on the
/// `PATH`.
pub fn installed(folders: &[PathBuf], path: Option<&OsStr>) -> Vec<AgentProgram> {
    Cli::ALL.into_iter().filter_map(|cli| find::find(cli, folders, path)).collect()
}

/// Every agent, for the catalog: those that are part of this program, and those that are or could be
/// installed.
pub(crate) fn catalog(folders: &[PathBuf]) -> Vec<AgentInfo> {
    let built_in = |id: &str, name: &str, formats| AgentInfo {
        id: id.to_owned(),
        name: name.to_owned(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        available: true,
        formats,
        ..AgentInfo::default()
    };
    let mut agents = vec![
        built_in("demo", "Demo", Vec::new()),
        built_in("skein", "Skein", vec![WireFormat::Messages, WireFormat::ChatCompletions]),
    ];
    agents.extend(describe(&installed(folders, std::env::var_os("PATH").as_deref())));
    agents
}

/// What is there of each installed agent.
pub fn describe(programs: &[AgentProgram]) -> Vec<AgentInfo> {
    let describe = |cli: Cli| {
        let program = programs.iter().find(|program| program.cli == cli);
        let missing = || {
            let (name, id, package) = (cli.name(), cli.id(), cli.package());
            format!(
                "{name} is not installed. To install it: cargo xtask agents install {id}, or npm \
                 install --global {package}"
            )
        };
        AgentInfo {
            id: cli.id().to_owned(),
            name: cli.name().to_owned(),
            version: program.and_then(|program| program.version.clone()),
            available: program.is_some(),
            problem: program.is_none().then(missing),
            formats: cli.formats().to_vec(),
            extra: Default::default(),
        }
    };
    Cli::ALL.into_iter().map(describe).collect()
}

//! `agents`: what is installed and configured, a coding agent by its name, one request to a model.
//!
//! What is there and what a model answers is told by the orchestrator itself: it looks and asks just
//! as it does when the product runs.

mod install;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use crate::job::Service;
use crate::run::compile;
use crate::site::Profile;
use crate::tools::Folder;
use crate::workspace::Workspace;
use install::Cli;

/// Names the folder of installed agents, to the orchestrator as well.
pub(crate) const AGENTS: &str = "SKEIN_AGENTS";
const ORCHESTRATOR: &str = "orchestrator";

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install a coding agent for the sandboxes, after its size was shown.
    Install {
        #[arg(value_enum)]
        agent: Cli,
    },
    /// Make one small request to a model, and say whether it works or why not.
    Check {
        /// `provider/model`, or a model's plain name [default: what a turn would be run with].
        #[arg(long, env = "SKEIN_MODEL")]
        model: Option<String>,
    },
}

/// `cargo xtask agents`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    match &options.action {
        None => orchestrator(workspace, &["agents"]),
        Some(Action::Install { agent }) => {
            install::install(agent.pin(), &Folder::at(agents_folder()?)?, &npm)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Action::Check { model: None }) => orchestrator(workspace, &["check-model"]),
        Some(Action::Check { model: Some(model) }) => {
            orchestrator(workspace, &["--model", model, "check-model"])
        }
    }
}

/// Where agents are installed to and looked for: `SKEIN_AGENTS`, or `agents` in the tools folder, which
/// all checkouts share.
pub(crate) fn agents_folder() -> Result<PathBuf> {
    match named_folder() {
        // The orchestrator does not run in the folder that it was said in.
        Some(path) => Ok(std::path::absolute(path)?),
        None => Ok(Folder::location()?.join("agents")),
    }
}

/// Installs every agent, for the tests. A folder that somebody has named is theirs and stays as it is.
/// The first agent that can't be had ends it: the others come from the same place.
pub(crate) fn install_all() -> Result<()> {
    if named_folder().is_some() {
        return Ok(());
    }
    let folder = Folder::at(agents_folder()?)?;
    Cli::value_variants().iter().try_for_each(|agent| install::install(agent.pin(), &folder, &npm))
}

fn named_folder() -> Option<OsString> {
    std::env::var_os(AGENTS).filter(|value| !value.is_empty())
}

fn npm() -> Command {
    Command::new("npm")
}

/// Runs the orchestrator for one of its answers, which is its exit code, too.
fn orchestrator(workspace: &Workspace, arguments: &[&str]) -> Result<ExitCode> {
    compile(workspace, Profile::Dev, &[ORCHESTRATOR])?;
    let mut command = Command::new(workspace.binary(false, ORCHESTRATOR));
    command.args(arguments).current_dir(&workspace.root).env(AGENTS, agents_folder()?);
    let status = Service::start(&mut command)?.wait()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! Runs coding agents that were installed on the host: real programs with a command line of their own.
//!
//! Each is driven without a terminal, by the protocol that it offers to other programs, and what it says
//! is translated into the events of a session. An agent stays for a while after its turn, because
//! starting one takes seconds; after a turn that did not end well it goes with all that it started.

mod asks;
mod claude_code;
mod codex;
mod conversation;
mod follow;
mod forwarder;
mod opencode;
mod process;
mod reporter;
mod warm;
mod watchdog;

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use sandbox_sdk::types::{Event, TurnError};
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    api::Problem,
    commands::CommandRunner,
    files::FileStore,
    message::{AgentRun, ModelAccess},
};
use crate::{
    agents::{Cli, Patience},
    interactions::Asker,
    profile::Profile,
};
use claude_code::ClaudeCode;
use codex::Codex;
use forwarder::{Door, Forwarder};
use opencode::OpenCode;
use reporter::Reporter;
use warm::WarmAgents;
use watchdog::Watchdog;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Harness(Arc<Shared>);

struct Shared {
    commands: CommandRunner,
    files: FileStore,
    /// Programs of the agents that are installed.
    programs: BTreeMap<Cli, PathBuf>,
    patience: Patience,
    /// Made when the first agent needs it.
    forwarder: OnceCell<Forwarder>,
    /// Held while an agent starts: two that make their folders at once get into each other's way.
    starting: Mutex<()>,
    warm: WarmAgents,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
enum End {
    Completed,
    Aborted,
    Failed(TurnError),
}

/// What an agent is started with. One that was started otherwise can't take the turn.
#[derive(Clone, Debug, PartialEq)]
struct Setup {
    cli: Cli,
    /// Without its token, which is another one each turn.
    model: ModelAccess,
    profile: Profile,
}

/// All that an agent needs to start.
struct Start<'a> {
    setup: &'a Setup,
    session_id: &'a str,
    program: &'a PathBuf,
    commands: &'a CommandRunner,
    files: &'a FileStore,
    /// Where its model is.
    url: String,
    door: &'a Door,
}

/// An agent that is ready for a turn.
struct Agent {
    setup: Setup,
    door: Door,
    native: Native,
}

enum Native {
    ClaudeCode(Box<ClaudeCode>),
    Codex(Box<Codex>),
    OpenCode(Box<OpenCode>),
}

impl Harness {
    pub(super) fn new(
        commands: CommandRunner,
        files: FileStore,
        programs: BTreeMap<Cli, PathBuf>,
        patience: Patience,
    ) -> Self {
        Self(Arc::new(Shared {
            commands,
            files,
            programs,
            patience,
            forwarder: OnceCell::new(),
            starting: Mutex::default(),
            warm: WarmAgents::default(),
        }))
    }

    /// Refuses what can't become a turn.
    pub(super) fn check(&self, cli: Cli, run: &AgentRun) -> Result<(), Problem> {
        let name = cli.name();
        if !self.0.programs.contains_key(&cli) {
            // What a sandbox sees is settled when it starts.
            let message = format!(
                "{name} was not there when this sandbox was started. Stop the sandbox, or take another."
            );
            return Err(Problem::not_implemented("agents", message));
        }
        let Some(model) = &run.model else {
            return Err(Problem::invalid(format!("{name} needs a model, and none is connected")));
        };
        if !cli.formats().contains(&model.format) {
            let (model, format) = (&model.model, model.format);
            let message = format!("{name} can't speak to {model}: it does not know {format:?}");
            return Err(Problem::invalid(message));
        }
        Profile::of(run.backend.as_ref()).map(drop).map_err(Problem::invalid)
    }

    /// Where the models are heard inside the sandbox, without a path.
    pub(super) async fn gateway_url(&self) -> io::Result<String> {
        self.0.forwarder.get_or_try_init(Forwarder::start).await.map(Forwarder::url)
    }

    /// Runs one turn. Every event goes to `events`, `agent.finished` last.
    pub(super) async fn run(
        &self,
        cli: Cli,
        run: AgentRun,
        asker: Asker,
        stopped: CancellationToken,
        events: mpsc::Sender<Event>,
    ) {
        let mut reporter = Reporter::new(&run, events.clone());
        let end = tokio::select! {
            end = self.turn(cli, &run, asker, &stopped, &mut reporter) => end,
            // Nobody listens any more. What runs is killed by being dropped.
            () = events.closed() => End::Aborted,
        };
        reporter.finish(end).await;
    }

    async fn turn(
        &self,
        cli: Cli,
        run: &AgentRun,
        asker: Asker,
        stopped: &CancellationToken,
        reporter: &mut Reporter,
    ) -> End {
        let prepared = tokio::select! {
            biased;
            () = stopped.cancelled() => return End::Aborted,
            prepared = self.prepare(cli, run, reporter) => prepared,
        };
        let mut agent = match prepared {
            Ok(agent) => agent,
            Err(error) => return End::Failed(error),
        };
        let watchdog = Watchdog::new(cli, self.0.patience, &agent.door);
        let (message, native) = (run.message.as_str(), &mut agent.native);
        let end = match native {
            Native::ClaudeCode(agent) => {
                agent.say(message);
                follow::follow(&mut **agent, reporter, asker, stopped, watchdog).await
            }
            Native::Codex(agent) => {
                agent.say(message);
                follow::follow(&mut **agent, reporter, asker, stopped, watchdog).await
            }
            Native::OpenCode(agent) => match agent.say(message).await {
                Ok(()) => follow::follow(&mut **agent, reporter, asker, stopped, watchdog).await,
                Err(error) => End::Failed(error),
            },
        };
        agent.door.close();
        if let Some(native) = agent.conversation() {
            conversation::save(&self.0.files, cli, &run.session_id, &native).await;
        }
        if end == End::Completed {
            self.0.warm.keep(run.session_id.clone(), agent, self.0.patience.linger);
        }
        end
    }

    /// An agent for the turn: the session's last one, or a new one.
    async fn prepare(
        &self,
        cli: Cli,
        run: &AgentRun,
        reporter: &Reporter,
    ) -> Result<Agent, TurnError> {
        let unfit = |problem: Problem| self::problem("AGENT_NOT_STARTED", problem.message);
        self.check(cli, run).map_err(unfit)?;
        let (Some(access), Some(program)) = (&run.model, self.0.programs.get(&cli)) else {
            return Err(problem("AGENT_NOT_STARTED", "there is no model"));
        };
        let profile = Profile::of(run.backend.as_ref())
            .map_err(|message| problem("AGENT_NOT_STARTED", message))?;
        let model = ModelAccess { token: String::new(), ..access.clone() };
        let setup = Setup { cli, model, profile };
        if let Some(agent) = self.0.warm.take(&run.session_id, &setup).await {
            agent.door.open(access.token.clone());
            return Ok(agent);
        }
        let cannot = |error: io::Error| problem("AGENT_NOT_STARTED", error.to_string());
        let forwarder = self.0.forwarder.get_or_try_init(Forwarder::start).await.map_err(cannot)?;
        let door = forwarder.door().map_err(cannot)?;
        door.open(access.token.clone());
        reporter.status("starting", format!("{} starts", cli.name())).await;
        let start = Start {
            setup: &setup,
            session_id: &run.session_id,
            program,
            commands: &self.0.commands,
            files: &self.0.files,
            url: forwarder.url(),
            door: &door,
        };
        let starting = self.0.starting.lock().await;
        let started = async {
            Ok(match cli {
                Cli::ClaudeCode => Native::ClaudeCode(Box::new(ClaudeCode::start(start).await?)),
                Cli::Codex => Native::Codex(Box::new(Codex::start(start).await?)),
                Cli::OpenCode => {
                    let patience = self.0.patience.start;
                    Native::OpenCode(Box::new(OpenCode::start(&start, patience).await?))
                }
            })
        };
        let watchdog = Watchdog::new(cli, self.0.patience, &door);
        let native = tokio::select! {
            started = started => started?,
            stuck = watchdog.bites() => return Err(stuck),
        };
        drop(starting);
        Ok(Agent { setup, door, native })
    }
}

impl Agent {
    /// Whether it can take another turn.
    fn is_alive(&mut self) -> bool {
        match &mut self.native {
            Native::ClaudeCode(agent) => agent.process().is_alive(),
            Native::Codex(agent) => agent.process().is_alive(),
            Native::OpenCode(agent) => agent.process().is_alive(),
        }
    }

    /// Its own id of the conversation, once there is something to come back to.
    fn conversation(&self) -> Option<String> {
        match &self.native {
            Native::ClaudeCode(agent) => agent.conversation(),
            Native::Codex(agent) => agent.conversation(),
            Native::OpenCode(agent) => agent.conversation(),
        }
    }

    /// Lets it end by itself.
    async fn close(self) {
        match self.native {
            Native::ClaudeCode(agent) => agent.into_process().close().await,
            Native::Codex(agent) => agent.into_process().close().await,
            Native::OpenCode(agent) => agent.into_process().close().await,
        }
    }
}

fn problem(code: &str, message: impl Into<String>) -> TurnError {
    TurnError { message: message.into(), code: Some(code.to_owned()), extra: Default::default() }
}

/// What went wrong with the model, as the agent tells it.
fn model_problem(status: Option<u64>, message: impl Into<String>) -> TurnError {
    let code = if status == Some(402) { "OUT_OF_CREDITS" } else { "MODEL_FAILED" };
    problem(code, message)
}

/// 128 random bits.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(hex::encode(bytes))
}

//! Runs agents, one stream of events for each turn, and stops them.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::response::sse::{self, Sse};
use futures::{Stream, StreamExt};
use sandbox_sdk::types::{ErrorCode, Event, InteractionAnswer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{
    api::Problem, commands::CommandRunner, files::FileStore, harness::Harness, message::AgentRun,
};
use crate::{agents::Cli, builtin, demo, interactions::Broker, tools::Tools};

/// Events that an agent may be ahead of its reader.
const AHEAD: usize = 64;

#[derive(Clone)]
pub(super) struct Agents {
    commands: CommandRunner,
    files: FileStore,
    harness: Harness,
    broker: Broker,
    pace: Duration,
    running: Running,
}

/// Who takes a turn.
enum Choice {
    Demo,
    BuiltIn,
    Cli(Cli),
}

type Running = Arc<Mutex<HashMap<String, CancellationToken>>>;

impl Agents {
    pub(super) fn new(
        commands: CommandRunner,
        files: FileStore,
        harness: Harness,
        broker: Broker,
        pace: Duration,
    ) -> Self {
        Self { commands, files, harness, broker, pace, running: Running::default() }
    }

    /// Starts a turn. It ends with the agent's last event, with an abort, or when nobody reads.
    pub(super) fn stream(
        &self,
        run: AgentRun,
    ) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>> + use<>>, Problem> {
        if run.turn_id.is_empty() || run.session_id.is_empty() {
            return Err(Problem::invalid("sessionId and turnId must not be empty"));
        }
        let agent = self.choose(&run)?;
        let registered = self.register(&run.turn_id)?;
        let (sender, receiver) = mpsc::channel::<Event>(AHEAD);
        let (agents, stopped) = (self.clone(), registered.token.clone());
        let asker = self.broker.asker(&run, sender.clone());
        tokio::spawn(async move {
            match agent {
                Choice::Demo => {
                    let tools = demo::Tools::new(agents.commands, agents.files);
                    demo::run(run, tools, asker, agents.pace, stopped, sender).await;
                }
                Choice::BuiltIn => {
                    let tools = Tools::new(agents.commands, agents.files);
                    let url = agents.harness.gateway_url().await;
                    builtin::run(run, tools, asker, url, stopped, sender).await;
                }
                Choice::Cli(cli) => agents.harness.run(cli, run, asker, stopped, sender).await,
            }
            drop(registered);
        });
        let events = ReceiverStream::new(receiver).map(|event| {
            let text = serde_json::to_string(&event).unwrap_or_default();
            Ok(sse::Event::default().data(text))
        });
        Ok(Sse::new(events))
    }

    /// The agent that the turn asks for, if it can take it.
    fn choose(&self, run: &AgentRun) -> Result<Choice, Problem> {
        let kind = run.backend.as_ref().and_then(|backend| backend.kind.as_deref());
        match kind {
            None | Some("demo") => Ok(Choice::Demo),
            Some("skein") => Ok(Choice::BuiltIn),
            Some(kind) => {
                let unknown = || {
                    let message = format!("this sandbox knows no agent {kind:?}");
                    Problem::not_implemented("agents", message)
                };
                let cli = Cli::from_id(kind).ok_or_else(unknown)?;
                self.harness.check(cli, run).map(|()| Choice::Cli(cli))
            }
        }
    }

    /// Stops a turn, or all of them. Whether there was one.
    pub(super) fn abort(&self, turn_id: Option<&str>) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = false;
        for (turn, token) in running.iter() {
            if turn_id.is_none_or(|wanted| wanted == turn) {
                token.cancel();
                found = true;
            }
        }
        found
    }

    /// Hands an answer to the agent that waits for it. Whether one does.
    pub(super) fn answer(&self, turn_id: &str, answer: InteractionAnswer) -> bool {
        self.broker.answer(turn_id, answer)
    }

    fn register(&self, turn_id: &str) -> Result<Registered, Problem> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(turn_id) {
            return Err(Problem::new(ErrorCode::InvalidState, "this turn runs already"));
        }
        let token = CancellationToken::new();
        running.insert(turn_id.to_owned(), token.clone());
        let running = Arc::clone(&self.running);
        Ok(Registered { turn_id: turn_id.to_owned(), token, running })
    }
}

/// A turn's place among the running ones.
struct Registered {
    turn_id: String,
    token: CancellationToken,
    running: Running,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.turn_id);
    }
}

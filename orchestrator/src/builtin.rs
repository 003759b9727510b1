//! The built-in agent: works in the sandbox with any model that speaks Anthropic's messages or
//! OpenAI's chat completions.
//!
//! It needs nothing but a model: no program to install, and little memory. The model is reached
//! through the model gateway, which holds the key and counts what is used. What was said is kept in
//! the sandbox's home folder, so that a session goes on after a stop, a failure or a restart.

mod answer;
mod compaction;
mod conversation;
mod model;
mod prompt;
mod room;
mod toolbox;
mod turn;
mod voice;
mod written_calls;

use std::io;

use sandbox_sdk::types::{Event, TurnError, TurnState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{interactions::Asker, profile::Profile, sidecar::AgentRun, tools::Tools};
use turn::{Hands, Turn};
use voice::Voice;

/// Field of a model's choice: tokens that the model may think for before it answers.
pub(crate) const MAX_THINKING_TOKENS: &str = "maxThinkingTokens";

/// Runs one turn. Every event goes to `events`, `agent.finished` last. Ends early, as aborted, when
/// `stopped` is cancelled or nobody takes the events any more; what runs then is killed.
/// `gateway_url` is where the model gateway is heard inside the sandbox, without `/v1`.
pub(crate) async fn run(
    run: AgentRun,
    tools: Tools,
    asker: Asker,
    gateway_url: io::Result<String>,
    stopped: CancellationToken,
    events: mpsc::Sender<Event>,
) {
    let voice = Voice::new(&run, events.clone());
    let Some(access) = run.model.clone() else {
        return refuse(voice, "NO_MODEL", "No model is connected.".into()).await;
    };
    let profile = match Profile::of(run.backend.as_ref()) {
        Ok(profile) => profile,
        Err(message) => return refuse(voice, "INVALID_PROFILE", message).await,
    };
    let gateway_url = match gateway_url {
        Ok(url) => url,
        Err(error) => {
            let message = format!("There is no way to the model gateway: {error}.");
            return refuse(voice, "AGENT_NOT_STARTED", message).await;
        }
    };
    let hands = Hands { tools, asker };
    let mut turn = Turn::begin(&run, access, profile, gateway_url, hands, voice).await;
    let driven = tokio::select! {
        biased;
        () = stopped.cancelled() => None,
        () = events.closed() => None,
        driven = turn.drive() => Some(driven),
    };
    turn.end(driven).await;
}

async fn refuse(voice: Voice, code: &str, message: String) {
    let error = TurnError { message, code: Some(code.to_owned()), extra: Default::default() };
    voice.fail(&error).await;
    voice.finish(TurnState::Failed).await;
}

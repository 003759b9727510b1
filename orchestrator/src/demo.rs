//! The demo agent: what answers when no model is connected.
//!
//! It is no model and says so. It knows a handful of requests, and does them for real: the same
//! commands and files that any agent in a sandbox works with. Given the same request in the same
//! sandbox it does the same again, which makes it good for tests, too.

mod actions;
mod long_answer;
mod memory;
mod narrator;
mod request;
mod scenes;
mod tools;
mod wording;

use std::time::Duration;

use sandbox_sdk::types::{Event, TurnError, TurnState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::tools::Tools;
use crate::{interactions::Asker, profile::Profile, sidecar::AgentRun};
use memory::Memory;
use narrator::{Narrator, Stopped};
use request::Request;

/// Runs one turn. Every event goes to `events`, `agent.finished` last. Ends early, as aborted, when
/// `stopped` is cancelled or nobody takes the events any more.
pub(crate) async fn run(
    run: AgentRun,
    tools: Tools,
    asker: Asker,
    pace: Duration,
    stopped: CancellationToken,
    events: mpsc::Sender<Event>,
) {
    let mut memory = Memory::load(&tools, &run.session_id).await;
    let request = Request::parse(&run.message);
    let mut narrator = Narrator::new(&run, tools.clone(), asker, pace, stopped, events);
    match Profile::of(run.backend.as_ref()) {
        Ok(profile) => narrator.keep_to(profile.permissions),
        Err(message) => {
            let code = Some("INVALID_PROFILE".to_owned());
            let error = TurnError { message, code, extra: Default::default() };
            return narrator.fail(&error).await;
        }
    }
    let performed = perform(&mut narrator, &mut memory, request).await;
    memory.keep(&run.message, performed.is_err());
    memory.save(&tools).await;
    let outcome = match performed {
        Ok(()) => TurnState::Completed,
        Err(Stopped) => TurnState::Aborted,
    };
    narrator.finish(outcome).await;
}

async fn perform(
    narrator: &mut Narrator,
    memory: &mut Memory,
    request: Request,
) -> Result<(), Stopped> {
    narrator.think(request.plan()).await?;
    if memory.is_new() {
        narrator.say(wording::INTRODUCTION).await?;
    }
    match request {
        Request::Ask(question) => actions::ask(narrator, memory, question).await,
        Request::Help => narrator.say(&wording::capabilities()).await,
        Request::Recall => actions::recall(narrator, memory).await,
        Request::Remember(note) => actions::remember(narrator, memory, note).await,
        Request::List(path) => actions::list(narrator, path).await,
        Request::Read(path) => actions::read(narrator, memory, path).await,
        Request::ReadIt => actions::read_it(narrator, memory).await,
        Request::Write { path, content, run } => {
            actions::write(narrator, memory, path, content, run).await
        }
        Request::Edit { path, old, new } => actions::edit(narrator, memory, path, old, new).await,
        Request::RunFile(path) => actions::run_file(narrator, memory, path).await,
        Request::RunAgain => actions::run_again(narrator, memory).await,
        Request::Command(command) => actions::command(narrator, memory, command).await,
        Request::LongAnswer { length } => long_answer::give(narrator, length).await,
        Request::FixLoop => scenes::fix_loop(narrator, memory).await,
        Request::ExplainRepository => scenes::explain_repository(narrator).await,
        Request::CleanSpreadsheet(path) => scenes::clean_spreadsheet(narrator, memory, path).await,
        Request::WriteScript(script) => scenes::write_script(narrator, memory, script).await,
        Request::FindSlowPart(path) => scenes::find_slow_part(narrator, memory, path).await,
        Request::Unknown => narrator.say(&wording::beyond_me()).await,
    }
}

//! A turn as the page begins and ends it: sent, followed, stopped.

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{Either, select};
use futures::{StreamExt, pin_mut};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{now, sleep};
use crate::api;
use crate::browser::tabs;
use crate::error::AppError;
use crate::ids;
use crate::model::{
    Choice, Permissions, SandboxState, StartTurn, StartedTurn, StreamGrant, TurnState, TurnStatus,
};
use crate::state::{Conversation, Link, Page, Stage, Wake, drafts};
use crate::thread;

/// How often a message is sent before the person is told that it did not go through.
const TRIES: u32 = 4;
/// Between two looks whether what waits for its next try may go on, or was stopped.
const LOOK_MS: u64 = 100;
const NOT_REACHED: &str = "The server can't be reached. Trying again…";

/// Sends a message.
pub fn send(page: Page, conversation: Conversation, text: &str) {
    ask(page, conversation, text, false);
}

/// Asks again what was asked in a turn.
pub fn retry(page: Page, conversation: Conversation, turn_id: &str) {
    if let Some(text) = conversation.question(turn_id) {
        ask(page, conversation, &text, true);
    }
}

fn ask(page: Page, conversation: Conversation, text: &str, repeats: bool) {
    let text = text.trim().to_owned();
    if text.is_empty() || conversation.turn.with_untracked(Option::is_some) {
        return;
    }
    let turn_id = conversation.turn_id_for(&text, ids::turn_id);
    conversation.notice.set(None);
    conversation.begin(&turn_id, &text, repeats, now());
    page.clock.set(now());
    page.keep(&conversation);
    let (agent, model) = match untrack(|| page.choice(&conversation)) {
        Some(choice) => (Some(choice.agent), Some(choice.model)),
        None => (None, None),
    };
    let permissions = untrack(|| page.permissions(&conversation)).map(|it| it.word().to_owned());
    spawn_local(async move {
        let chat_id = conversation.id.get_untracked();
        let request = StartTurn { chat_id, turn_id, text, agent, model, permissions, repeats };
        match start(page, &conversation, &request).await {
            Ok(Some(started)) => began(page, conversation, request, started).await,
            Ok(None) => withdrawn(page, &conversation, request).await,
            Err(error) => refused(page, &conversation, request, &error),
        }
    });
}

/// Stops the turn that goes on.
pub fn stop(page: Page, conversation: Conversation) {
    let Some(turn) = conversation.turn.get_untracked() else { return };
    if turn.stage == Stage::Sending {
        // The server does not know it yet, or has not said so; `began` comes back here.
        return conversation.turn.update(|turn| {
            if let Some(turn) = turn {
                turn.stop_wanted = true;
            }
        });
    }
    if turn.stage == Stage::Stopping {
        return;
    }
    conversation.set_stage(&turn.id, Stage::Stopping, now());
    spawn_local(async move {
        let mut attempt = 0;
        while conversation.is_following(&turn.id) {
            match api::stop_turn(turn.id.clone()).await {
                Ok(status) => {
                    if take(page, &conversation, status) {
                        conversation.wake(Wake::Leave);
                    }
                    return;
                }
                // Without a network every try is in vain: the strip says when the next one is.
                Err(error) if error.is_transient() && !page.online.get_untracked() => {
                    connected(page, || !conversation.is_following(&turn.id)).await;
                }
                Err(error) if error.is_transient() && attempt + 1 < TRIES => {
                    sleep(300 << attempt).await;
                    attempt += 1;
                }
                Err(error) => {
                    conversation.go_on(&turn.id, turn.stage);
                    return conversation.complain(&error);
                }
            }
        }
    });
}

/// Follows the turn that goes on, if nobody does.
pub fn follow_active(page: Page, conversation: Conversation) {
    let Some(turn) = conversation.turn.get_untracked() else { return };
    if turn.stage != Stage::Sending && !conversation.has_follower() {
        spawn_local(follow(page, conversation, turn.id, None));
    }
}

/// Asks the server to start the turn. The same request again is no second turn, so that a lost
/// answer is no reason to give up. None: the person stopped it before the next try.
async fn start(
    page: Page,
    conversation: &Conversation,
    request: &StartTurn,
) -> Result<Option<StartedTurn>, AppError> {
    let mut attempt = 0;
    loop {
        let error = match api::start_turn(request.clone()).await {
            Ok(started) => return Ok(Some(started)),
            Err(error) => error,
        };
        let worth_it = matches!(error, AppError::Offline | AppError::Unavailable { .. });
        let stopped = || conversation.wants_stop(&request.turn_id);
        if error == AppError::Offline && !page.online.get_untracked() {
            // Without a network every try is in vain: the message waits here.
            connected(page, stopped).await;
            if !stopped() {
                continue;
            }
        }
        if worth_it && stopped() {
            return Ok(None);
        }
        attempt += 1;
        if !worth_it || attempt == TRIES {
            return Err(error);
        }
        conversation.say(NOT_REACHED);
        for _ in 0..(500 << attempt) / LOOK_MS {
            sleep(LOOK_MS).await;
            if stopped() {
                return Ok(None);
            }
        }
    }
}

/// Waits until the browser has a network, or nobody needs one any more.
async fn connected(page: Page, needless: impl Fn() -> bool) {
    while !page.online.get_untracked() && !needless() {
        sleep(LOOK_MS).await;
    }
}

/// The person stopped the message before the server took it. One of the tries may have arrived all
/// the same: what it began is stopped.
async fn withdrawn(page: Page, conversation: &Conversation, request: StartTurn) {
    conversation.say(give_back(conversation, &request));
    // The same text, sent again, is a turn of its own: this one is to be stopped.
    conversation.was_sent();
    for attempt in 0..TRIES {
        connected(page, || false).await;
        // Where nothing has arrived, there is nothing to stop.
        if api::stop_turn(request.turn_id.clone()).await != Err(AppError::Offline) {
            return;
        }
        sleep(500 << attempt).await;
    }
}

/// Takes back what was not sent, and says what becomes of it. A question that was to be asked again
/// still stands where it was asked.
fn give_back(conversation: &Conversation, request: &StartTurn) -> &'static str {
    conversation.take_back(&request.turn_id);
    if request.repeats {
        return "Nothing was sent.";
    }
    conversation.returned.set(Some(request.text.clone()));
    "Nothing was sent, your text is kept."
}

/// The message was not taken: it goes back to where it was typed.
fn refused(page: Page, conversation: &Conversation, request: StartTurn, error: &AppError) {
    let kept = give_back(conversation, &request);
    let words = match error {
        AppError::InsufficientCredits { available, needed } => format!(
            "Not enough credits: a message needs at least {needed}, you have {available}. {kept}"
        ),
        error => format!("{error} {kept}"),
    };
    if let AppError::Conflict { .. } = error {
        // Nothing was stored. The id may be taken: another try needs one of its own.
        conversation.was_sent();
    }
    conversation.complain(error);
    conversation.notice.update(|notice| {
        if let Some(notice) = notice {
            notice.words = words;
        }
    });
    match error {
        AppError::InsufficientCredits { .. } => super::refresh_balance(page),
        // What is offered here is not what there is.
        AppError::Invalid { field, .. } if field == "agent" || field == "model" => {
            super::refresh_options(page);
        }
        _ => {}
    }
}

async fn began(page: Page, conversation: Conversation, request: StartTurn, started: StartedTurn) {
    conversation.was_sent();
    conversation.unsay(NOT_REACHED);
    drafts::sent(request.chat_id.as_deref(), &request.text);
    keep_choice(page, &conversation, &request);
    let id = started.chat.id.clone();
    tabs::tell(&id);
    conversation.saw(started.chat.updated_at);
    page.upsert(started.chat);
    page.set_running(&id, !started.state.is_final());
    if request.chat_id.is_none() {
        conversation.id.set(Some(id.clone()));
        // Another new chat that is shown by now has its own draft under the same name.
        let current = page.current.get_untracked();
        if current == conversation || current.id.with_untracked(Option::is_some) {
            drafts::begun(&id, conversation.chosen_since().as_ref());
        }
        if page.current.get_untracked() == conversation {
            page.destination.set(Some((format!("/chat/{id}"), false)));
        }
        // The first message made the account.
        super::refresh_balance(page);
    }
    let turn_id = request.turn_id;
    let stage = stage_of(started.state);
    let stop_wanted = conversation.wants_stop(&turn_id);
    if conversation.sandbox.get_untracked() != SandboxState::Running {
        let provisioning = stage == Stage::Provisioning;
        let state = if provisioning { SandboxState::Provisioning } else { SandboxState::Running };
        conversation.sandbox.set(state);
    }
    conversation.set_stage(&turn_id, stage, now());
    if stop_wanted {
        stop(page, conversation.clone());
    }
    follow(page, conversation, turn_id, started.stream).await;
}

/// The chat goes on with what was sent, and new ones begin with it.
fn keep_choice(page: Page, conversation: &Conversation, request: &StartTurn) {
    let permissions = request.permissions.as_deref().and_then(Permissions::of_word);
    let (Some(agent), Some(model), Some(permissions)) =
        (request.agent.clone(), request.model.clone(), permissions)
    else {
        return;
    };
    let choice = Choice { agent, model, permissions };
    let chat = request.chat_id.as_deref();
    // What was chosen since is for the next message.
    if drafts::choice(chat).as_ref() == Some(&choice) {
        drafts::forget_choice(chat);
    }
    if *conversation.choice.read_untracked() == Some(choice.clone()) {
        conversation.choice_was_sent();
    }
    if conversation.choice.with_untracked(Option::is_none) {
        conversation.choice.set(Some(choice.clone()));
    }
    page.options.update(|options| {
        if let Some(options) = options {
            options.default = choice;
        }
    });
}

fn stage_of(state: TurnState) -> Stage {
    if state == TurnState::Provisioning { Stage::Provisioning } else { Stage::Running }
}

/// Follows a turn, as soon as that which follows turns is there.
async fn follow(
    page: Page,
    conversation: Conversation,
    turn_id: String,
    stream: Option<StreamGrant>,
) {
    let (follower, mut wake) = unbounded();
    conversation.set_follower(follower);
    let mut failures = 0;
    let thread = loop {
        if let Some(thread) = thread::load(page).await {
            break thread;
        }
        failures += 1;
        // It goes on and ends without being watched.
        if let Ok(status) = api::turn_status(turn_id.clone()).await {
            take(page, &conversation, status);
        }
        if !conversation.is_following(&turn_id) {
            return;
        }
        let wait = backoff_ms(failures);
        conversation.link.set(Link::Reconnecting { at: now() + wait as i64 });
        if let Some(Wake::Leave) = woken(&mut wake, wait).await {
            return;
        }
    };
    if conversation.is_following(&turn_id) {
        (thread.follow)(page, conversation, turn_id, stream, wake).await;
    }
}

/// Takes what the server says of a turn. True: the turn is over and shown as it is kept.
pub(super) fn take(page: Page, conversation: &Conversation, status: TurnStatus) -> bool {
    if *conversation.sandbox.read_untracked() != status.sandbox {
        conversation.sandbox.set(status.sandbox);
    }
    conversation.hear(status.notice);
    let Some(outcome) = status.outcome else {
        conversation.set_stage(&status.turn_id, stage_of(status.state), now());
        return false;
    };
    let followed = conversation.is_following(&status.turn_id);
    let ended = crate::words::ending(outcome.message.state, outcome.error.as_deref());
    conversation.settle(outcome);
    page.set_running(&status.chat_id, false);
    super::refresh_balance(page);
    if followed {
        page.announce(ended.unwrap_or_else(|| "The answer is complete.".into()));
    }
    true
}

/// Sleeps until woken, at most so long.
pub(super) async fn woken(wake: &mut UnboundedReceiver<Wake>, ms: u64) -> Option<Wake> {
    let (next, timer) = (wake.next(), sleep(ms));
    pin_mut!(timer);
    match select(next, timer).await {
        // A closed channel means that another task follows now.
        Either::Left((why, _)) => Some(why.unwrap_or(Wake::Leave)),
        Either::Right(_) => None,
    }
}

pub(super) fn backoff_ms(failures: u32) -> u64 {
    (500 << failures.min(5)).min(10_000)
}

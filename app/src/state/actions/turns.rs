//! A turn as the page lives it: sent, waited for, watched, settled.

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
    Choice, Permissions, ReportedUsage, SandboxState, StartTurn, StartedTurn, StreamGrant,
    TurnState, TurnStatus,
};
use crate::state::{Action, AgentMessage, Conversation, Link, Notice, Page, Stage, Wake, drafts};
use crate::stream::Stream;

/// How often a message is sent before the person is told that it did not go through.
const TRIES: u32 = 4;
/// Between two looks whether what waits for its next try may go on, or was stopped.
const LOOK_MS: u64 = 100;
const NOT_SETTLED: &str =
    "The answer is here, but the server that keeps it can't be reached. Trying again…";
const NOT_SETTLED_YET: &str = "The answer is here. The server still works out what it costs…";
const NOT_REACHED: &str = "The server can't be reached. Trying again…";
/// Between two questions whether the sandbox is ready.
const PROVISIONING_POLL_MS: u64 = 250;
/// How often settling may fail before the person is told.
const QUIET_FAILURES: u32 = 2;
/// How often the server may have no answer yet, about ten seconds long, before the person is told.
const QUIET_QUESTIONS: u32 = 14;
/// How long a stream may be silent before the server is asked whether the turn still goes on.
const SILENCE_MS: u64 = 10_000;

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

/// Follows a turn to its end: until there is a stream, along the stream, until it is settled.
async fn follow(
    page: Page,
    conversation: Conversation,
    turn_id: String,
    stream: Option<StreamGrant>,
) {
    let (follower, mut wake) = unbounded();
    conversation.set_follower(follower);
    let grant = match stream {
        Some(grant) => grant,
        None => match await_stream(page, &conversation, &turn_id, &mut wake).await {
            Some(grant) => grant,
            None => return,
        },
    };
    let Some(message) = conversation.answer(&turn_id) else { return };
    let used = watch(page, &conversation, &message, grant, &mut wake).await;
    if let Some(used) = used {
        settle(page, &conversation, &turn_id, used, &mut wake).await;
    }
}

/// Asks until there is a stream to watch. None: there is nothing to watch any more.
async fn await_stream(
    page: Page,
    conversation: &Conversation,
    turn_id: &str,
    wake: &mut UnboundedReceiver<Wake>,
) -> Option<StreamGrant> {
    let mut failures = 0;
    loop {
        match api::turn_status(turn_id.to_owned()).await {
            Ok(mut status) => {
                failures = 0;
                let stream = status.stream.take();
                let ready = status.state != TurnState::Provisioning;
                if take(page, conversation, status) {
                    return None;
                }
                if conversation.link.get_untracked() != Link::Idle {
                    conversation.link.set(Link::Idle);
                }
                if stream.is_some() {
                    return stream;
                }
                if ready {
                    match grant(conversation).await {
                        Some(grant) => return Some(grant),
                        None => failures = 1,
                    }
                }
            }
            Err(error) if error.is_transient() => {
                failures += 1;
                let wait = backoff_ms(failures);
                conversation.link.set(Link::Reconnecting { at: now() + wait as i64 });
            }
            Err(error) => {
                give_up(conversation, turn_id, &error);
                return None;
            }
        }
        let pause = if failures == 0 { PROVISIONING_POLL_MS } else { backoff_ms(failures) };
        if let Some(Wake::Leave) = woken(wake, pause).await {
            return None;
        }
    }
}

/// A token to watch with; none when the server has none yet.
async fn grant(conversation: &Conversation) -> Option<StreamGrant> {
    let id = conversation.id.get_untracked()?;
    api::refresh_token(id).await.ok()
}

/// Watches the stream until the turn has ended. None: somebody else has settled it, or nobody cares.
async fn watch(
    page: Page,
    conversation: &Conversation,
    message: &AgentMessage,
    grant: StreamGrant,
    wake: &mut UnboundedReceiver<Wake>,
) -> Option<ReportedUsage> {
    let turn_id = &message.turn_id;
    let moved = conversation
        .turn
        .with_untracked(|turn| turn.as_ref().is_some_and(|turn| turn.stage == Stage::Provisioning));
    if moved {
        conversation.sandbox.set(SandboxState::Running);
    }
    conversation.set_stage(turn_id, Stage::Running, now());
    let stream = crate::stream::open(conversation.clone(), message.clone(), grant);
    // Questions since the stream was lost. Each waits longer than the one before.
    let mut lost_for = 0;
    loop {
        if stream.is_connected() {
            lost_for = 0;
        }
        let why = woken(wake, if lost_for > 0 { backoff_ms(lost_for) } else { SILENCE_MS }).await;
        match why {
            Some(Wake::Done) => return Some(stream.reported()),
            Some(Wake::Leave) => return None,
            Some(Wake::Reconnect) => {
                lost_for = u32::from(!reconnect(conversation, &stream).await);
                continue;
            }
            // A gateway that has refused for good refuses again: only the person tries again. Until
            // then the server is asked, now and then, whether the turn has ended.
            Some(Wake::Lost) => {
                lost_for = lost_for.max(1);
                continue;
            }
            None => {}
        }
        // Silence, or no stream at all: the server knows whether the turn still goes on.
        if lost_for == 0 && stream.is_lively() {
            continue;
        }
        match api::turn_status(turn_id.clone()).await {
            Ok(status) if status.state.is_final() && status.outcome.is_none() => {
                return Some(stream.reported());
            }
            Ok(status) => {
                if take(page, conversation, status) {
                    return None;
                }
                if lost_for > 0 {
                    lost_for += 1;
                }
            }
            Err(error) if error.is_transient() => lost_for += 1,
            Err(error) => {
                give_up(conversation, turn_id, &error);
                return None;
            }
        }
    }
}

/// Tries the stream again at once: with another token, where it was given up. False: there is none.
async fn reconnect(conversation: &Conversation, stream: &Stream) -> bool {
    if !stream.is_lost() {
        stream.nudge();
        return true;
    }
    conversation.link.set(Link::Reconnecting { at: now() });
    match grant(conversation).await {
        Some(grant) => stream.renew(grant),
        None => {
            conversation.link.set(Link::Lost);
            return false;
        }
    }
    true
}

/// Asks the server to settle the turn until it has.
async fn settle(
    page: Page,
    conversation: &Conversation,
    turn_id: &str,
    used: ReportedUsage,
    wake: &mut UnboundedReceiver<Wake>,
) {
    let (mut questions, mut failures) = (0_u32, 0_u32);
    loop {
        match api::complete_turn(turn_id.to_owned(), used).await {
            Ok(status) => {
                failures = 0;
                conversation.unsay(NOT_SETTLED);
                if take(page, conversation, status) {
                    conversation.unsay(NOT_SETTLED_YET);
                    return;
                }
            }
            Err(error) if error.is_transient() => failures += 1,
            Err(error) => return give_up(conversation, turn_id, &error),
        }
        questions += 1;
        let words = match (failures, questions) {
            (failures, _) if failures > QUIET_FAILURES => Some(NOT_SETTLED),
            (0, questions) if questions > QUIET_QUESTIONS => Some(NOT_SETTLED_YET),
            _ => None,
        };
        // Nothing that is being said is talked over.
        if let Some(words) = words.filter(|_| conversation.notice.with_untracked(Option::is_none)) {
            conversation.say(words);
        }
        if woken(wake, 100 * u64::from(questions.min(20))).await == Some(Wake::Leave) {
            return;
        }
    }
}

/// Takes what the server says of a turn. True: the turn is over and shown as it is kept.
fn take(page: Page, conversation: &Conversation, status: TurnStatus) -> bool {
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

/// The turn can't be followed: says why, and what can be done.
fn give_up(conversation: &Conversation, turn_id: &str, error: &AppError) {
    if !conversation.is_following(turn_id) {
        return;
    }
    conversation.link.set(Link::Lost);
    if *error == AppError::NotFound {
        conversation.turn.set(None);
        return conversation.fail(AppError::NotFound);
    }
    conversation.complain(error);
    conversation.notice.update(|notice| {
        if let Some(notice @ Notice { action: None, .. }) = notice {
            notice.action = Some(Action::Follow);
        }
    });
}

/// Sleeps until woken, at most so long.
async fn woken(wake: &mut UnboundedReceiver<Wake>, ms: u64) -> Option<Wake> {
    let (next, timer) = (wake.next(), sleep(ms));
    pin_mut!(timer);
    match select(next, timer).await {
        // A closed channel means that another task follows now.
        Either::Left((why, _)) => Some(why.unwrap_or(Wake::Leave)),
        Either::Right(_) => None,
    }
}

fn backoff_ms(failures: u32) -> u64 {
    (500 << failures.min(5)).min(10_000)
}

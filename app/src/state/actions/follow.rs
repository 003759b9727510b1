//! A turn as the page follows it: waited for, watched, settled.

use futures::channel::mpsc::UnboundedReceiver;
use leptos::prelude::*;

use super::now;
use super::turns::{backoff_ms, take, woken};
use crate::api;
use crate::error::AppError;
use crate::model::{ReportedUsage, SandboxState, StreamGrant, TurnState};
use crate::state::{Action, AgentMessage, Conversation, Link, Notice, Page, Stage, Wake};
use crate::stream::Stream;

const NOT_SETTLED: &str =
    "The answer is here, but the server that keeps it can't be reached. Trying again…";
const NOT_SETTLED_YET: &str = "The answer is here. The server still works out what it costs…";
/// Between two questions whether the sandbox is ready.
const PROVISIONING_POLL_MS: u64 = 250;
/// How often settling may fail before the person is told.
const QUIET_FAILURES: u32 = 2;
/// How often the server may have no answer yet, about ten seconds long, before the person is told.
const QUIET_QUESTIONS: u32 = 14;
/// How long a stream may be silent before the server is asked whether the turn still goes on.
const SILENCE_MS: u64 = 10_000;

/// Follows a turn to its end: until there is a stream, along the stream, until it is settled.
pub async fn follow(
    page: Page,
    conversation: Conversation,
    turn_id: String,
    stream: Option<StreamGrant>,
    mut wake: UnboundedReceiver<Wake>,
) {
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

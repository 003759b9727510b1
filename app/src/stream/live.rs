//! The stream of one turn, in the browser.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::*;
use sandbox_sdk::gateway::{GatewayOptions, GatewayState, Handlers, SessionGatewayClient};

use super::turn_log::{Next, TurnLog};
use crate::api;
use crate::model::{ReportedUsage, StreamGrant};
use crate::state::actions::now;
use crate::state::{AgentMessage, Conversation, Link, Wake};

/// After a frame with something new, the next waits so many times as long as that one took: a page
/// that is slow to draw has most of its time for its reader, and a fast one shows every frame.
const REST: i64 = 6;
/// So many frames of a turn come without a rest: its first words are waited for.
const AT_ONCE: u32 = 12;
/// Longer, and a reader would see the text jump.
const LONGEST_REST_MS: i64 = 100;
/// A page in the background draws no frames. What waits for one longer than this is shown anyway.
const LATE_MS: i64 = 250;
/// How long the strip says what was caught up.
const CAUGHT_UP_SAID: Duration = Duration::from_secs(6);
/// A connection without an event for so long is worth a question.
const LIVELY_MS: i64 = 10_000;

/// An open stream. It closes when it is dropped.
#[derive(Debug)]
pub struct Stream {
    client: SessionGatewayClient,
    view: Rc<RefCell<View>>,
}

#[derive(Debug)]
struct View {
    log: TurnLog,
    message: AgentMessage,
    /// When the next showing was asked for.
    scheduled: Option<i64>,
    /// How often something was shown, up to [`AT_ONCE`].
    frames: u32,
    /// Nothing is shown so soon after the last time.
    rests: bool,
    last_event: i64,
    /// The connection was lost after it had been there.
    lost: bool,
}

/// Opens the stream of a turn. The follower is woken when the turn has ended or the stream is lost.
pub fn open(conversation: Conversation, message: AgentMessage, grant: StreamGrant) -> Stream {
    let view = Rc::new(RefCell::new(View {
        log: TurnLog::new(&message.turn_id),
        message,
        scheduled: None,
        frames: 0,
        rests: false,
        last_event: now(),
        lost: false,
    }));
    let chat = conversation.clone();
    let options = GatewayOptions::new(grant.url, grant.token, grant.session_id)
        .since(grant.since)
        .expires_at(grant.expires_at)
        .token_refresh(move || {
            let id = chat.id.get_untracked().unwrap_or_default();
            async move {
                let grant = api::refresh_token(id).await.map_err(|error| error.to_string())?;
                Ok((grant.token, grant.expires_at))
            }
        });
    let client = SessionGatewayClient::new(options, handlers(&conversation, &view));
    client.connect();
    Stream { client, view }
}

impl Stream {
    /// What the stream said the turn used.
    pub fn reported(&self) -> ReportedUsage {
        self.view.borrow().log.reported()
    }

    /// Tries at once, and finds out whether an open connection still lives.
    pub fn nudge(&self) {
        self.client.nudge();
    }

    /// Connects with another token, and goes on where it was.
    pub fn renew(&self, grant: StreamGrant) {
        self.client.update_token(grant.token, Some(grant.expires_at));
        self.client.connect();
    }

    pub fn is_connected(&self) -> bool {
        self.client.state() == GatewayState::Connected
    }

    /// Whether it has given up: nothing brings it back but another token.
    pub fn is_lost(&self) -> bool {
        matches!(self.client.state(), GatewayState::Failed | GatewayState::Disconnected)
    }

    /// Whether something came lately.
    pub fn is_lively(&self) -> bool {
        self.is_connected() && now() - self.view.borrow().last_event < LIVELY_MS
    }
}

fn handlers(conversation: &Conversation, view: &Rc<RefCell<View>>) -> Handlers {
    let (events, state) = (Rc::clone(view), Rc::clone(view));
    let (ended, moved, replayed) =
        (conversation.clone(), conversation.clone(), conversation.link.clone());
    Handlers::new()
        .on_agent_event(move |_, event, _| {
            let next = {
                let mut view = events.borrow_mut();
                view.last_event = now();
                view.log.apply(event)
            };
            match next {
                Next::Nothing => {}
                Next::Show => schedule(&events),
                Next::Finish => {
                    // A page in the background draws no frames: the end waits for none.
                    show(&events);
                    ended.wake(Wake::Done);
                }
            }
        })
        .on_replay_start(move |_, _, events| {
            if matches!(*replayed.read_untracked(), Link::CaughtUp { .. }) {
                replayed.set(Link::CaughtUp { events });
            }
        })
        .on_state(move |gateway| {
            let link = link(gateway, &mut state.borrow_mut());
            let Some(link) = link else { return };
            moved.link.set(link);
            match link {
                Link::Lost => moved.wake(Wake::Lost),
                Link::CaughtUp { .. } => {
                    let link = moved.link.clone();
                    set_timeout(move || settle_link(&link), CAUGHT_UP_SAID);
                }
                _ => {}
            }
        })
}

/// What the connection's state means for the person. None: nothing new.
fn link(gateway: GatewayState, view: &mut View) -> Option<Link> {
    match gateway {
        GatewayState::Connected if view.lost => {
            view.lost = false;
            Some(Link::CaughtUp { events: 0 })
        }
        GatewayState::Connected => Some(Link::Live),
        GatewayState::Reconnecting { in_ms, .. } => {
            view.lost = true;
            Some(Link::Reconnecting { at: now() + in_ms as i64 })
        }
        GatewayState::Failed => {
            view.lost = true;
            Some(Link::Lost)
        }
        GatewayState::Connecting | GatewayState::Disconnected => None,
    }
}

fn settle_link(link: &ArcRwSignal<Link>) {
    if matches!(*link.read_untracked(), Link::CaughtUp { .. }) {
        link.set(Link::Live);
    }
}

/// Shows what has changed with the next frame; later, when frames are dear.
fn schedule(view: &Rc<RefCell<View>>) {
    let (waiting_since, rests) = {
        let mut view = view.borrow_mut();
        let since = view.scheduled;
        view.scheduled = since.or_else(|| Some(now()));
        (since, view.rests)
    };
    match waiting_since {
        Some(since) if now() - since > LATE_MS => show(view),
        None if !rests => show_with_frame(view),
        _ => {}
    }
}

fn show_with_frame(view: &Rc<RefCell<View>>) {
    let view = Rc::clone(view);
    request_animation_frame(move || show(&view));
}

fn show(view: &Rc<RefCell<View>>) {
    let start = now();
    {
        let mut view = view.borrow_mut();
        view.scheduled = None;
        let changed = view.log.take_changed();
        view.message.update(view.log.parts(), changed.into_iter());
        if view.frames < AT_ONCE {
            view.frames += 1;
            return;
        }
        view.rests = true;
    }
    let view = Rc::clone(view);
    // By then the browser has laid the frame out and painted it, which is most of what it takes.
    let measure = move || {
        let rest = ((now() - start) * REST).clamp(0, LONGEST_REST_MS);
        set_timeout(move || rested(&view), Duration::from_millis(rest.unsigned_abs()));
    };
    set_timeout(measure, Duration::ZERO);
}

fn rested(view: &Rc<RefCell<View>>) {
    let waits = {
        let mut view = view.borrow_mut();
        view.rests = false;
        view.scheduled.is_some()
    };
    if waits {
        show_with_frame(view);
    }
}

//! What happens in a sandbox, whichever session it happens in, from now on.
//!
//! The bus keeps nothing of its own. It reads the logs of the sessions in which a turn runs, a page at
//! a time, and every event says its place in its log: who missed something reads it there.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{Router, body::Bytes, extract::State, response::Response, routing::get};
use futures::{
    FutureExt, Stream,
    future::{pending, select_all},
    stream,
};
use sandbox_sdk::types::event_type;
use serde_json::{Map, Value, json};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{KEEP_ALIVE, answer, cut_off, frame};
use crate::{
    api::{App, Shared, extract::Path},
    clock::now_ms,
    error::ApiError,
    log::{Cursor, Life, Page},
    store::StoredEvent,
    turns::Begun,
};

/// Bytes of events that are read together, and held for a slow client at most.
const PAGE: usize = 64 * 1024;
/// Sessions that one client follows at once. More of them end its stream.
const MAX_SESSIONS: usize = 256;

pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new().route("/agents/events", get(events))
}

async fn events(State(app): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    // Before it is looked what runs, so that nothing begins between the two.
    let begun = app.turns.begun();
    let life = app.logs.cursor(app.sandboxes.events(&id).await?, u64::MAX);
    let draining = app.gateway.draining();
    let mut bus = Bus { app, sandbox_id: id, begun, life, draining, following: Vec::new() };
    bus.follow_what_runs(u64::MAX).await;
    Ok(answer(frames(bus)))
}

struct Bus {
    app: Arc<App>,
    sandbox_id: String,
    begun: broadcast::Receiver<Begun>,
    /// The sandbox's own log, which ends with it.
    life: Cursor,
    draining: CancellationToken,
    following: Vec<Following>,
}

struct Following {
    session_id: Arc<str>,
    cursor: Cursor,
    /// The last event that was read is the end of a turn.
    is_done: bool,
}

enum News {
    /// There may be something to read.
    Some,
    /// Nothing came for a while.
    Quiet,
    NoMore,
}

fn frames(bus: Bus) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let established = json!({"sandboxId": bus.sandbox_id, "timestamp": now_ms()}).to_string();
    let ahead = VecDeque::from([frame("connection.established", None, &established)]);
    stream::unfold((bus, ahead), async |(mut bus, mut ahead)| {
        while ahead.is_empty() {
            if !bus.read(&mut ahead).await {
                return None;
            }
            if !ahead.is_empty() {
                break;
            }
            match bus.news().await {
                News::Some => {}
                News::NoMore => return None,
                News::Quiet => {
                    let beat = json!({"timestamp": now_ms()}).to_string();
                    ahead.push_back(frame("heartbeat", None, &beat));
                }
            }
        }
        let next: Bytes = ahead.pop_front()?;
        Some((Ok(next), (bus, ahead)))
    })
}

impl Bus {
    /// Takes one page of the first session that has something new. `false`: the sandbox is gone.
    async fn read(&mut self, ahead: &mut VecDeque<Bytes>) -> bool {
        match self.life.page(PAGE, None).await {
            Ok(Page::Events(page)) => ahead.extend(page.iter().map(|event| show(event, None))),
            Ok(Page::Cut { after, oldest }) => ahead.push_back(cut_off(after, oldest, None)),
            Err(_) => {}
        }
        let mut index = 0;
        while ahead.is_empty() && index < self.following.len() {
            let one = &mut self.following[index];
            // Before the page, so that what comes after it keeps the session.
            let is_deleted = one.cursor.head().life == Life::Deleted;
            let page = match one.cursor.page(PAGE, None).await {
                Ok(Page::Events(events)) => events,
                Ok(Page::Cut { after, oldest }) => {
                    ahead.push_back(cut_off(after, oldest, Some(&*one.session_id)));
                    break;
                }
                Err(_) => Vec::new(),
            };
            ahead.extend(page.iter().map(|event| show(event, Some(&*one.session_id))));
            if let Some(last) = page.last() {
                one.is_done = &*last.kind == event_type::DONE;
            }
            let is_at_end = one.cursor.at() >= one.cursor.head().seq;
            if page.is_empty() && (is_deleted || (one.is_done && is_at_end)) {
                // Its next turn is told when it begins.
                self.following.swap_remove(index);
            } else {
                index += 1;
            }
        }
        // Whoever has much to say must not silence the others.
        if index > 0 && !self.following.is_empty() {
            let turn = index.min(self.following.len());
            self.following.rotate_left(turn);
        }
        !ahead.is_empty() || self.life.head().life != Life::Deleted
    }

    /// Waits for something to read. Not to be dropped: a turn that began could be missed.
    async fn news(&mut self) -> News {
        let changed = self.following.iter_mut().map(|one| one.cursor.changed().boxed());
        let changed: Vec<_> = changed.collect();
        let any = async {
            // Of none nothing ever comes.
            if changed.is_empty() { pending().await } else { select_all(changed).await.0 }
        };
        let begun = tokio::select! {
            () = any => return News::Some,
            () = self.life.changed() => return News::Some,
            () = self.draining.cancelled() => return News::NoMore,
            () = sleep(KEEP_ALIVE) => return News::Quiet,
            begun = self.begun.recv() => begun,
        };
        let is_followed = match begun {
            Ok(begun) if *begun.sandbox_id == *self.sandbox_id => self.follow(&begun, 0).await,
            Ok(_) => true,
            Err(RecvError::Lagged(_)) => self.follow_what_runs(0).await,
            Err(RecvError::Closed) => false,
        };
        if is_followed { News::Some } else { News::NoMore }
    }

    /// `at_least`: no event up to this number is told; a log's end if that comes first.
    async fn follow_what_runs(&mut self, at_least: u64) -> bool {
        for begun in self.app.turns.running_in_sandbox(&self.sandbox_id) {
            if !self.follow(&begun, at_least).await {
                return false;
            }
        }
        true
    }

    /// Follows the session of a turn. `false`: that were too many.
    async fn follow(&mut self, begun: &Begun, at_least: u64) -> bool {
        // One that was deleted and made again has another log.
        let is_it = |one: &Following| {
            one.session_id == begun.session_id && one.cursor.head().life != Life::Deleted
        };
        if self.following.iter().any(is_it) {
            return true;
        }
        if self.following.len() >= MAX_SESSIONS {
            return false;
        }
        let here = std::slice::from_ref(&self.sandbox_id);
        if let Ok(Some(log)) = self.app.logs.session_of(&begun.session_id, here).await {
            let cursor = self.app.logs.cursor(log, begun.since.max(at_least));
            let session_id = begun.session_id.clone();
            self.following.push(Following { session_id, cursor, is_done: false });
        }
        true
    }
}

/// An event, with the place it has in its log.
fn show(event: &StoredEvent, session_id: Option<&str>) -> Bytes {
    let mut data: Map<String, Value> = serde_json::from_str(&event.data).unwrap_or_default();
    if let Some(session_id) = session_id {
        data.insert("sessionId".to_owned(), session_id.into());
        data.insert("_meta".to_owned(), json!({"seq": event.seq, "sentAt": event.at}));
    }
    frame(&event.kind, None, &Value::Object(data).to_string())
}

//! One execution, read out of the log of its session.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::VecDeque, convert::Infallible, sync::Arc};

use axum::body::Bytes;
use futures::{Stream, stream};
use sandbox_sdk::types::{Event, event_type};
use serde_json::{Map, Value, json};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::super::sse::{KEEP_ALIVE, cut_off, frame};
use crate::{
    clock::now_ms,
    log::{Cursor, Life, Page, SessionLog},
    store::{Store, StoreError, StoredEvent, TurnRow},
    turns::ending_of,
};

/// Bytes of events that are read together, and held for a slow client at most.
const PAGE: usize = 64 * 1024;

pub(super) struct Execution {
    id: String,
    store: Store,
    log: Arc<SessionLog>,
    cursor: Cursor,
    /// Number of its last event, once it is known to have ended.
    last: Option<u64>,
    draining: CancellationToken,
    heartbeat: Duration,
    is_over: bool,
}

enum Step {
    Events(Vec<Arc<StoredEvent>>),
    /// Events after the first number and before the second are no longer kept.
    Cut(u64, u64),
    /// How it ended, from its record: the log does not tell it from where it was read.
    Ending(Vec<Event>),
    /// Nothing came for a while.
    Quiet,
    Over,
}

impl Execution {
    pub(super) fn new(
        id: String,
        store: Store,
        log: Arc<SessionLog>,
        cursor: Cursor,
        draining: CancellationToken,
    ) -> Self {
        let heartbeat = KEEP_ALIVE;
        Self { id, store, log, cursor, last: None, draining, heartbeat, is_over: false }
    }

    /// Looks up whether it has ended.
    pub(super) async fn look_up(&mut self) -> Result<(), StoreError> {
        self.last = self.row().await?.and_then(|row| row.last_seq());
        Ok(())
    }

    async fn row(&self) -> Result<Option<TurnRow>, StoreError> {
        match self.log.key() {
            Some(key) => self.store.turn(key, &self.id).await,
            // The session is gone, and its records with it.
            None => Ok(None),
        }
    }

    /// Waits for its end, or until nobody can wait any more.
    pub(super) async fn ended(mut self) {
        while !matches!(self.step().await, Step::Over) {}
    }

    /// Its events, one write each. The next page is read when the one before was taken.
    pub(super) fn frames(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        stream::unfold((self, VecDeque::new()), async |(mut execution, mut ahead)| {
            if ahead.is_empty() {
                match execution.step().await {
                    Step::Events(events) => {
                        let frames = events.iter().map(|event| execution.show(event));
                        ahead.extend(frames);
                    }
                    Step::Cut(after, oldest) => ahead.push_back(cut_off(after, oldest, None)),
                    Step::Ending(events) => {
                        ahead.extend(events.iter().map(|event| execution.show_unnumbered(event)));
                    }
                    Step::Quiet => ahead.push_back(heartbeat()),
                    Step::Over => {}
                }
            }
            let next: Bytes = ahead.pop_front()?;
            Some((Ok(next), (execution, ahead)))
        })
    }

    async fn step(&mut self) -> Step {
        let mut was_deleted = false;
        while !self.is_over {
            let mut page = match self.cursor.page(PAGE, self.last).await {
                Ok(Page::Events(events)) => events,
                Ok(Page::Cut { after, oldest }) => {
                    // Its end may be among what was cut: what comes then is another's.
                    if self.last.is_none() && self.look_up().await.is_err() {
                        break;
                    }
                    return Step::Cut(after, oldest);
                }
                Err(_) => break,
            };
            if let Some(done) = page.iter().position(|event| &*event.kind == event_type::DONE) {
                // What follows is the session's next turn.
                page.truncate(done + 1);
                self.is_over = true;
            }
            if !page.is_empty() {
                return Step::Events(page);
            }
            // Its last events may be committed and not published yet.
            if self.last.is_some_and(|last| last <= self.cursor.at()) {
                self.is_over = true;
                return self.ending().await;
            }
            if was_deleted {
                break;
            }
            was_deleted = self.cursor.head().life == Life::Deleted;
            if was_deleted {
                // Its last events may have come since the page was read.
                continue;
            }
            let changed = timeout(self.heartbeat, self.cursor.changed());
            match self.draining.run_until_cancelled(changed).await {
                Some(Ok(())) => {}
                Some(Err(_)) => return Step::Quiet,
                None => break,
            }
        }
        self.is_over = true;
        Step::Over
    }

    /// The end of one that has ended and whose end was not read.
    async fn ending(&self) -> Step {
        let Ok(Some(row)) = self.row().await else { return Step::Over };
        match row.record(self.log.id()) {
            Ok(record) => ending_of(&record).map_or(Step::Over, Step::Ending),
            Err(_) => Step::Over,
        }
    }

    fn show(&self, event: &StoredEvent) -> Bytes {
        frame(&event.kind, Some(event.seq), &dress(&event.kind, &event.data, &self.id))
    }

    /// Without a number: it was not read from the log.
    fn show_unnumbered(&self, event: &Event) -> Bytes {
        let data = Value::Object(event.data.clone()).to_string();
        frame(&event.kind, None, &dress(&event.kind, &data, &self.id))
    }
}

/// That the line is there, and nothing about the execution. It has no number: nothing is replayed.
fn heartbeat() -> Bytes {
    frame("heartbeat", None, &json!({"timestamp": now_ms()}).to_string())
}

/// Adds what readers of this stream look for and others don't: `part.content`, which is what a piece
/// of text adds, and `metadata.traceId`.
fn dress<'a>(kind: &str, data: &'a str, execution_id: &str) -> Cow<'a, str> {
    let more: fn(&mut Map<String, Value>, &str) = match kind {
        event_type::PART_UPDATED => add_content,
        event_type::RESULT => add_trace,
        _ => return Cow::Borrowed(data),
    };
    match serde_json::from_str::<Map<String, Value>>(data) {
        Ok(mut data) => {
            more(&mut data, execution_id);
            Cow::Owned(Value::Object(data).to_string())
        }
        Err(_) => Cow::Borrowed(data),
    }
}

fn add_content(data: &mut Map<String, Value>, _: &str) {
    let delta = data.get("delta").and_then(Value::as_str).map(str::to_owned);
    let Some(part) = data.get_mut("part").and_then(Value::as_object_mut) else { return };
    if part.get("type").is_none_or(|kind| kind != "text") {
        return;
    }
    let text = || part.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    let content = delta.unwrap_or_else(text);
    part.insert("content".to_owned(), content.into());
}

fn add_trace(data: &mut Map<String, Value>, execution_id: &str) {
    if let Some(metadata) = data.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("traceId".to_owned(), execution_id.into());
    }
}

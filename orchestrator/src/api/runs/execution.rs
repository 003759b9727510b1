//! One execution, read out of the log of its session.

use std::{borrow::Cow, collections::VecDeque, convert::Infallible, sync::Arc};

use axum::body::Bytes;
use futures::{Stream, stream};
use sandbox_sdk::types::event_type;
use serde_json::{Map, Value, json};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::super::sse::{KEEP_ALIVE, cut_off, frame};
use crate::{
    clock::now_ms,
    log::{Cursor, Life, Page},
    store::StoredEvent,
};

/// Bytes of events that are read together, and held for a slow client at most.
const PAGE: usize = 64 * 1024;

pub(super) struct Execution {
    id: String,
    cursor: Cursor,
    /// Number of its last event, if it had ended when it was looked up.
    last: Option<u64>,
    draining: CancellationToken,
    heartbeat: Duration,
    is_over: bool,
}

enum Step {
    Events(Vec<Arc<StoredEvent>>),
    /// Events after the first number and before the second are no longer kept.
    Cut(u64, u64),
    /// Nothing came for a while.
    Quiet,
    Over,
}

impl Execution {
    pub(super) fn new(
        id: String,
        cursor: Cursor,
        last: Option<u64>,
        draining: CancellationToken,
    ) -> Self {
        Self { id, cursor, last, draining, heartbeat: KEEP_ALIVE, is_over: false }
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
                Ok(Page::Cut { after, oldest }) => return Step::Cut(after, oldest),
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
            if was_deleted || self.last.is_some() {
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

    fn show(&self, event: &StoredEvent) -> Bytes {
        frame(&event.kind, Some(event.seq), &dress(event, &self.id))
    }
}

/// That the line is there, and nothing about the execution. It has no number: nothing is replayed.
fn heartbeat() -> Bytes {
    frame("heartbeat", None, &json!({"timestamp": now_ms()}).to_string())
}

/// Adds what readers of this stream look for and others don't: `part.content`, which is what a piece
/// of text adds, and `metadata.traceId`.
fn dress<'a>(event: &'a StoredEvent, execution_id: &str) -> Cow<'a, str> {
    let more: fn(&mut Map<String, Value>, &str) = match &*event.kind {
        event_type::PART_UPDATED => add_content,
        event_type::RESULT => add_trace,
        _ => return Cow::Borrowed(&event.data),
    };
    match serde_json::from_str::<Map<String, Value>>(&event.data) {
        Ok(mut data) => {
            more(&mut data, execution_id);
            Cow::Owned(Value::Object(data).to_string())
        }
        Err(_) => Cow::Borrowed(&event.data),
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

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use sandbox_sdk::types::Event;

    use super::*;
    use crate::log::tests::Bench;

    fn event(kind: &str, data: Value) -> Event {
        let Value::Object(data) = data else { panic!() };
        Event { kind: kind.to_owned(), data }
    }

    async fn texts(execution: Execution) -> Vec<String> {
        let frames = execution.frames().map(|frame| frame.unwrap());
        frames.map(|frame| String::from_utf8(frame.to_vec()).unwrap()).collect().await
    }

    #[tokio::test]
    async fn an_execution_ends_with_its_done_and_the_next_turn_is_not_told() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::open(dir.path()).await;
        let log = bench.session("s", "u").await;
        let kinds = ["execution.started", "status", "done", "execution.started", "status"];
        bench.append(&log, kinds.map(|kind| event(kind, json!({}))).into()).await;
        let execution = |after, last| {
            let cursor = bench.logs.cursor(log.clone(), after);
            Execution::new("t1".to_owned(), cursor, last, CancellationToken::new())
        };
        let numbers = async |after, last| -> Vec<String> {
            let told = texts(execution(after, last)).await;
            told.iter().map(|frame| frame.lines().nth(2).unwrap().to_owned()).collect()
        };
        assert_eq!(numbers(0, None).await, ["id: 1", "id: 2", "id: 3"]);
        assert_eq!(numbers(1, Some(3)).await, ["id: 2", "id: 3"]);
        assert!(numbers(3, Some(3)).await.is_empty(), "it was told to its end");
        assert!(numbers(5, Some(3)).await.is_empty(), "that number is another's");
        bench.keep(1).await;
        let told = texts(execution(0, Some(3))).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("event: warning\n"), "its events are no longer kept");
    }

    #[tokio::test]
    async fn a_quiet_line_is_shown_to_be_there_without_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::open(dir.path()).await;
        let log = bench.session("s", "u").await;
        let draining = CancellationToken::new();
        let cursor = bench.logs.cursor(log, 0);
        let mut execution = Execution::new("t1".to_owned(), cursor, None, draining.clone());
        execution.heartbeat = Duration::from_millis(5);
        let mut frames = std::pin::pin!(execution.frames());
        let beat = frames.next().await.unwrap().unwrap();
        let beat = std::str::from_utf8(&beat).unwrap();
        assert!(beat.starts_with("event: heartbeat\ndata: {\"timestamp\":"), "{beat}");
        assert!(beat.ends_with("}\n\n") && !beat.contains("id:"), "{beat}");
        draining.cancel();
        while frames.next().await.is_some() {}
    }

    #[test]
    fn a_piece_of_text_says_in_content_what_it_adds() {
        let shown = |kind: &str, data: Value| {
            let data = data.to_string().into();
            let event = StoredEvent { seq: 1, at: 0, kind: kind.into(), data };
            serde_json::from_str::<Value>(&dress(&event, "t1")).unwrap()
        };
        let part = json!({"part": {"type": "text", "text": ""}, "delta": "more"});
        assert_eq!(shown("message.part.updated", part)["part"]["content"], "more");
        let whole = json!({"part": {"type": "text", "text": "all"}});
        assert_eq!(shown("message.part.updated", whole)["part"]["content"], "all");
        let tool = json!({"part": {"type": "tool", "tool": "bash"}});
        assert_eq!(shown("message.part.updated", tool.clone()), tool);
        let result = json!({"metadata": {"sessionId": "s"}});
        assert_eq!(shown("result", result)["metadata"]["traceId"], "t1");
        assert_eq!(shown("done", json!({"turnId": "t"})), json!({"turnId": "t"}));
    }
}

//! Sends spans in batches. Nobody waits for it: what the collector does not take is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderMap},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{otlp, recorder::Span};

/// Most spans of one request.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const PAUSE: Duration = Duration::from_secs(1);

/// Empties the queue of spans.
pub(super) struct Exporter {
    pub(super) client: reqwest::Client,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) service: String,
    pub(super) finished: mpsc::Receiver<Span>,
    /// Spans for which there was no room.
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) closing: CancellationToken,
}

impl Exporter {
    /// Sends until it is closing and nothing waits any more.
    pub(super) async fn run(mut self) {
        let (mut lost, mut away) = (0, false);
        while let Some(batch) = self.next().await {
            let sent = self.send(&batch).await;
            lost += self.dropped.swap(0, Ordering::Relaxed);
            match sent {
                Ok(()) if away => {
                    tracing::info!(lost, "traces are taken again");
                    (lost, away) = (0, false);
                }
                Ok(()) => {}
                Err(why) => {
                    lost += batch.len() as u64;
                    // Said once, and not of every batch.
                    if !away {
                        tracing::warn!(why, "traces are not taken, and dropped until they are");
                    }
                    away = true;
                }
            }
        }
        if lost > 0 {
            tracing::warn!(lost, "spans that were not sent");
        }
    }

    /// The next spans. `None`: it is closing, and there are none.
    async fn next(&mut self) -> Option<Vec<Span>> {
        let mut batch = Vec::new();
        let closing = self.closing.clone();
        closing.run_until_cancelled(self.finished.recv_many(&mut batch, BATCH)).await;
        let until = Instant::now() + PAUSE;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            let more = timeout_at(until, self.finished.recv_many(&mut batch, room));
            if !matches!(closing.run_until_cancelled(more).await, Some(Ok(1..))) {
                break;
            }
        }
        while batch.len() < BATCH
            && let Ok(span) = self.finished.try_recv()
        {
            batch.push(span);
        }
        (!batch.is_empty()).then_some(batch)
    }

    async fn send(&self, batch: &[Span]) -> Result<(), String> {
        let body = otlp::request(&self.service, batch).to_string();
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        // The URL may hold a password.
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("the collector says {status}")) }
    }
}

//! A position in a log, and how to move it forward.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::watch;

use super::{EventLog, Head, SessionLog};
use crate::store::{StoreError, StoredEvent};

/// Reads a log in order, without gaps and without repeats, at the reader's own pace.
///
/// Replay and live are one movement: a cursor that is behind reads pages from the database, one at
/// the end waits for what is published. Nothing is queued for it.
#[derive(Debug)]
pub(crate) struct Cursor {
    logs: EventLog,
    log: Arc<SessionLog>,
    head: watch::Receiver<Head>,
    at: u64,
}

impl Cursor {
    pub(super) fn new(logs: EventLog, log: Arc<SessionLog>, after: u64) -> Self {
        let head = log.watch();
        let at = after.min(head.borrow().seq);
        Self { logs, log, head, at }
    }

    /// Number of the last event that was read.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// Goes back (or forward) to after the given number, at most to the end of the log.
    pub(crate) fn seek(&mut self, after: u64) {
        self.at = after.min(self.head.borrow().seq);
    }

    /// The next events, as many as `max_bytes` hold, none after `until`; empty where nothing more
    /// stands. Of a deleted session there is what is still in memory. Nothing is skipped when the
    /// future is dropped.
    pub(crate) async fn page(
        &mut self,
        max_bytes: usize,
        until: Option<u64>,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let head = self.head.borrow_and_update().seq;
        let until = until.map_or(head, |until| until.min(head));
        if self.at >= until {
            return Ok(Vec::new());
        }
        let reads = &self.logs.0.reads;
        let page = match (self.log.recent_after(self.at, max_bytes), self.log.key()) {
            (Some(mut page), _) => {
                reads.memory.fetch_add(1, Ordering::Relaxed);
                page.retain(|event| event.seq <= until);
                page
            }
            (None, Some(key)) => {
                reads.store.fetch_add(1, Ordering::Relaxed);
                self.logs.0.store.events(key, self.at, until, max_bytes).await?
            }
            (None, None) => Vec::new(),
        };
        if let Some(last) = page.last() {
            self.at = last.seq;
        }
        Ok(page)
    }

    /// Waits until there is something new: events, a mapping, the end of the session.
    pub(crate) async fn changed(&mut self) {
        // The sender lives in `self.log`, so there is no error to tell.
        let _: Result<(), _> = self.head.changed().await;
    }
}

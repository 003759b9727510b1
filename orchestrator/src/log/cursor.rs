//! A position in a log, and how to move it forward.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::watch;

use super::{EventLog, Head, SessionLog};
use crate::store::{StoreError, StoredEvent};

/// What a cursor found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The next events; none where nothing more stands.
    Events(Vec<Arc<StoredEvent>>),
    /// What came after the event `after` was cut off before it was read. It goes on with `oldest`.
    Cut { after: u64, oldest: u64 },
}

/// Reads a log in order, without repeats, at the reader's own pace, and without a gap that it does
/// not tell.
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

    pub(crate) fn log(&self) -> &Arc<SessionLog> {
        &self.log
    }

    pub(crate) fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// Goes back (or forward) to after the given number, at most to the end of the log.
    pub(crate) fn seek(&mut self, after: u64) {
        self.at = after.min(self.head.borrow().seq);
    }

    /// The next events, as many as `max_bytes` hold, none after `until`. Of a deleted session there is
    /// what is still in memory; a cursor before that goes to the end. Nothing is skipped when the future is dropped.
    pub(crate) async fn page(
        &mut self,
        max_bytes: usize,
        until: Option<u64>,
    ) -> Result<Page, StoreError> {
        let (head, cut) = {
            let head = self.head.borrow_and_update();
            (head.seq, head.cut)
        };
        if self.at < cut {
            return Ok(self.jump_to(cut));
        }
        let until = until.map_or(head, |until| until.min(head));
        if self.at >= until {
            return Ok(Page::Events(Vec::new()));
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
            // A deleted session's, and not in memory: nobody has to wait for them.
            (None, None) => {
                self.at = until;
                Vec::new()
            }
        };
        // What was cut while this was read may be missing in it.
        let cut = self.head.borrow().cut;
        if self.at < cut {
            return Ok(self.jump_to(cut));
        }
        if let Some(last) = page.last() {
            self.at = last.seq;
        }
        #[cfg(test)]
        let page = faulty(page, &self.log);
        Ok(Page::Events(page))
    }

    /// Goes on after what was cut off.
    fn jump_to(&mut self, cut: u64) -> Page {
        let after = std::mem::replace(&mut self.at, cut);
        Page::Cut { after, oldest: cut + 1 }
    }

    /// Waits until there is something new: events, a mapping, the end of the session.
    pub(crate) async fn changed(&mut self) {
        // The sender lives in `self.log`, so there is no error to tell.
        let _: Result<(), _> = self.head.changed().await;
    }
}

/// The page as a faulty log would give it.
#[cfg(test)]
fn faulty(mut page: Vec<Arc<StoredEvent>>, log: &SessionLog) -> Vec<Arc<StoredEvent>> {
    use crate::mutants::Mutant;
    if page.len() > 5 && Mutant::SkippedMessages.is_on() {
        page.remove(3);
    }
    if page.len() > 5 && Mutant::LiveBeforeReplay.is_on() {
        let newest = log.recent_after(log.head().seq.saturating_sub(1), 1).unwrap_or_default();
        page.splice(0..0, newest);
    }
    page
}

//! How much of a log is kept, where not all of it is.
//!
//! A cut is one number that stands in the database before anything is removed: readers never come
//! upon a log of which only some of the old events are gone.

#[cfg(test)]
mod tests;

use std::{sync::Weak, time::Duration};

use tokio_util::sync::CancellationToken;

use super::EventLog;
use crate::store::{Cutting, StoreError, StoredLog};

/// What is younger than this is kept in any case, in milliseconds, and so are turns that ended since.
const ALWAYS_KEPT_MS: i64 = 15 * 60 * 1000;
const ALWAYS_KEPT: Duration = Duration::from_millis(ALWAYS_KEPT_MS.unsigned_abs());
const HOUR_MS: i64 = 3600 * 1000;
/// Logs that are looked up together.
const LOGS_AT_ONCE: u32 = 100;

/// What is kept of each session's log. Nothing said: everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Events that are kept.
    pub(crate) events: Option<u64>,
    /// Hours that an event is kept.
    pub(crate) hours: Option<u64>,
}

impl Retention {
    /// How long every event is kept at least, in milliseconds. `None`: as long as its session.
    pub(crate) fn least_ms(self) -> Option<i64> {
        match (self.events, self.hours) {
            (None, None) => None,
            (None, Some(hours)) => Some(milliseconds(hours)),
            (Some(_), _) => Some(ALWAYS_KEPT_MS),
        }
    }

    fn cutting(self, now: i64) -> Cutting {
        Cutting {
            most: self.events,
            old_before: self.hours.map(|hours| now.saturating_sub(milliseconds(hours))),
            young_since: now.saturating_sub(ALWAYS_KEPT_MS),
        }
    }
}

fn milliseconds(hours: u64) -> i64 {
    i64::try_from(hours).unwrap_or(i64::MAX).saturating_mul(HOUR_MS)
}

impl EventLog {
    /// Cuts what is too old, again and again, until it is told to stop.
    pub(crate) async fn watch_retention(self, pause: Duration, closing: CancellationToken) {
        loop {
            match closing.run_until_cancelled(self.look()).await {
                None => return,
                Some(Err(error)) => tracing::error!(%error, "old events could not be removed"),
                // What an earlier cut left was removed, and there are no more.
                Some(Ok(())) if self.0.retention == Retention::default() => return,
                Some(Ok(())) => {}
            }
            if closing.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Cuts what is too old now. After the wall clock was set nobody can tell that from what is young, as
    /// long as something young may be dated by the clock as it was before: until then only what an
    /// earlier cut left is removed.
    async fn look(&self) -> Result<(), StoreError> {
        // In this order: a clock that is set in between is not believed.
        let now = self.0.wall.now_ms();
        let mut retention = self.0.retention;
        if self.0.wall.was_set_within(ALWAYS_KEPT) && retention != Retention::default() {
            tracing::warn!("old events stay for now: the clock was set less than 15 minutes ago");
            retention = Retention::default();
        }
        self.cut_old(retention, now).await
    }

    /// Cuts off every log what is not to be kept at this time, and removes it.
    pub(crate) async fn cut_old(&self, retention: Retention, now: i64) -> Result<(), StoreError> {
        let cutting = retention.cutting(now);
        let mut after = 0;
        loop {
            let logs = self.0.store.logs_after(after, LOGS_AT_ONCE).await?;
            let Some(last) = logs.last() else { return Ok(()) };
            after = last.key;
            for log in logs {
                self.shorten(&log, cutting).await?;
            }
        }
    }

    async fn shorten(&self, log: &StoredLog, cutting: Cutting) -> Result<(), StoreError> {
        let store = &self.0.store;
        let point = store.cut_point(log.key, log.bounds, cutting).await?;
        if point > log.bounds.cut {
            store.cut(log.key, point).await?;
            // Before a row goes, so that no reader takes what is left for all there was.
            self.tell_cut(log, point).await?;
            tracing::debug!(session = log.id, up_to = point, "old events cut off");
        } else if !log.has_remains {
            return Ok(());
        }
        while store.remove_remains(log.key).await? {}
        Ok(())
    }

    /// Tells those who read the log now. Whoever opens it later finds the cut in the database.
    async fn tell_cut(&self, log: &StoredLog, point: u64) -> Result<(), StoreError> {
        let open = self.sessions().get(&log.id).and_then(Weak::upgrade);
        if let Some(open) = open {
            // It may be in the middle of looking where the log begins.
            open.load(&self.0.store).await?;
            if open.key() == Some(log.key) {
                open.set_cut(point);
            }
        }
        Ok(())
    }
}

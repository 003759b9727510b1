//! What becomes of a sandbox whose lifetime is over: it is stopped, its files go at once, and after
//! a while it goes itself.

use std::{cmp::Reverse, sync::Arc};

use super::{SandboxError, Sandboxes, end::stop, events, slot::Slot, stop::StopReason};
use crate::clock::now_ms;

/// How long an expired sandbox can still be looked up, in milliseconds: a day.
const KEPT_MS: i64 = 24 * 3600 * 1000;

impl Sandboxes {
    /// Ends a sandbox for good whose time is up. Whether it is.
    pub(super) fn expire_if_over(&self, slot: &Arc<Slot>) -> bool {
        let snapshot = slot.snapshot();
        let now = now_ms();
        let is_over = snapshot.row.expired_at.is_some()
            || snapshot.expires_at().is_some_and(|end| end <= now);
        if !is_over {
            return false;
        }
        let first = slot.expire(now);
        if let Some(running) = slot.running() {
            running.stop.ask(StopReason::Lifetime);
        }
        if first {
            let (sandboxes, slot) = (self.clone(), slot.clone());
            // In a task of its own: a caller that goes away must not leave it half done.
            self.0.tasks.spawn(async move { sandboxes.settle_expiry(&slot).await });
        }
        true
    }

    async fn settle_expiry(&self, slot: &Slot) {
        let snapshot = slot.snapshot();
        let id = &snapshot.row.id;
        if let Err(error) = self.0.store.save_sandbox(&snapshot.row).await {
            tracing::error!(sandbox = id, %error, "expiry not saved");
            // Told and done once it stands. The next look finds it over again.
            slot.change(|row| row.expired_at = None);
            return;
        }
        tracing::info!(sandbox = id, "sandbox expired");
        self.tell(&snapshot, events::EXPIRED, None).await;
        self.clear(slot).await;
    }

    /// Removes the files of an expired sandbox once it has stopped. Nobody can reach them any more.
    pub(super) async fn clear(&self, slot: &Slot) {
        let life = slot.lock_life().await;
        // Whoever deletes it removes them, and then the folder may be another one's.
        if !slot.is_condemned() {
            stop(slot, StopReason::Lifetime).await;
            self.remove_files(&slot.snapshot().row.id).await;
        }
        drop(life);
    }

    /// Deletes those that expired a day ago; the oldest of them sooner, so that there are never
    /// more than may exist besides.
    pub(super) async fn forget_expired(&self, slots: Vec<Arc<Slot>>) {
        let slots = slots.into_iter().filter(|slot| !slot.is_condemned());
        let mut expired: Vec<_> =
            slots.filter_map(|slot| slot.expired_at().map(|at| (at, slot))).collect();
        expired.sort_by_key(|(at, _)| Reverse(*at));
        let long_ago = now_ms() - KEPT_MS;
        for (newer, (at, slot)) in expired.into_iter().enumerate() {
            if (at <= long_ago || newer >= self.0.config.max_sandboxes)
                && let Err(error) = self.forget(&slot).await
            {
                let id = slot.snapshot().row.id;
                tracing::error!(sandbox = id, %error, "an expired sandbox could not be deleted");
            }
        }
    }

    async fn forget(&self, slot: &Arc<Slot>) -> Result<(), SandboxError> {
        self.hide(slot).await?;
        for session in self.remove(slot).await? {
            self.0.logs.forget(&session);
        }
        Ok(())
    }
}

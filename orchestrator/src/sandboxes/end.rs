//! How sandboxes end: stopped, idle, expired, deleted.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{SandboxError, Sandboxes, Snapshot, events, folder, slot::Slot};
use crate::{clock::now_ms, store::StoreError};

impl Sandboxes {
    /// Stops a sandbox; its files stay.
    pub(crate) async fn stop(&self, id: &str) -> Result<Snapshot, SandboxError> {
        let slot = self.slot(id)?;
        let life = slot.lock_life().await;
        stop(&slot).await;
        drop(life);
        Ok(slot.snapshot())
    }

    /// Hides a sandbox from everyone, for good; what is left of it goes with `delete`. After an error
    /// it is there as before. Of one that is hidden already, the deletion is taken up again.
    pub(crate) async fn condemn(&self, id: &str) -> Result<(), SandboxError> {
        let slot = self.slots().get(id).cloned().ok_or(SandboxError::NotFound)?;
        let first = slot.set_condemned(true);
        let saved = self.0.store.save_sandbox(&slot.snapshot().row).await;
        if saved.is_err() && first {
            slot.set_condemned(false);
        }
        saved?;
        if first {
            self.tell(&slot.snapshot(), events::DELETED).await;
        }
        Ok(())
    }

    /// Kills a condemned sandbox and removes its files, its sessions and itself. Gives the ids of the
    /// sessions; none if somebody else was faster.
    pub(crate) async fn delete(&self, id: &str) -> Result<Vec<String>, SandboxError> {
        let Some(slot) = self.slots().get(id).cloned() else { return Ok(Vec::new()) };
        let life = slot.lock_life().await;
        stop(&slot).await;
        let sessions = self.erase(id).await?;
        self.slots().remove(id);
        // Another request may have failed to save it, and taken it back.
        slot.set_condemned(true);
        drop(life);
        Ok(sessions)
    }

    /// Removes what is left of a sandbox that does not run.
    pub(super) async fn erase(&self, id: &str) -> Result<Vec<String>, StoreError> {
        let path = self.0.config.folder.join(id);
        if let Err(error) = folder::remove(&path).await {
            // The row goes all the same: a folder that can't be removed must not keep the data.
            tracing::error!(sandbox = id, %error, "the sandbox's folder could not be removed");
        }
        self.0.store.delete_sandbox(id).await
    }

    /// Ends a sandbox for good whose time is up. Whether it is.
    pub(super) async fn expire_if_over(&self, slot: &Arc<Slot>) -> bool {
        let snapshot = slot.snapshot();
        let now = now_ms();
        let is_over = snapshot.row.expired_at.is_some()
            || snapshot.expires_at().is_some_and(|end| end <= now);
        if !is_over {
            return false;
        }
        let first = slot.expire(now);
        if let Some(running) = slot.running() {
            running.stop.cancel();
        }
        if first {
            let snapshot = slot.snapshot();
            // After a failure the next process finds out by itself.
            if let Err(error) = self.0.store.save_sandbox(&snapshot.row).await {
                tracing::error!(sandbox = snapshot.row.id, %error, "expiry not saved");
            }
            tracing::info!(sandbox = snapshot.row.id, "sandbox expired");
            self.tell_status(slot).await;
        }
        true
    }

    /// Stops what nobody uses, and what has lived its time, until cancelled.
    pub(crate) async fn watch_idle(self, pause: Duration, cancelled: CancellationToken) {
        while cancelled.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let slots: Vec<_> = self.slots().values().cloned().collect();
            if slots.iter().any(|slot| slot.running().is_some()) {
                self.see_runs().await;
            }
            for slot in slots {
                if slot.is_condemned() || self.expire_if_over(&slot).await {
                    continue;
                }
                let idle = slot.request().idle_timeout_seconds;
                let idle = idle.unwrap_or(self.0.config.idle_timeout.as_secs());
                slot.stop_if_idle(i64::try_from(idle.saturating_mul(1000)).unwrap_or(i64::MAX));
            }
        }
    }

    /// Ends every sandbox; none starts any more.
    pub(crate) async fn shutdown(&self) {
        self.0.running.close();
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

async fn stop(slot: &Slot) {
    if let Some(running) = slot.running() {
        running.stop.cancel();
        running.ended.cancelled().await;
    }
}

//! How sandboxes end: stopped, idle, deleted.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{SandboxError, Sandboxes, Snapshot, events, folder, slot::Slot, stop::StopReason};
use crate::{
    clock::{Daily, now_ms},
    store::StoreError,
};

impl Sandboxes {
    /// Stops a sandbox; its files stay. One that is just being filled begins anew the next time.
    pub(crate) async fn stop(&self, id: &str) -> Result<Snapshot, SandboxError> {
        let slot = self.slot(id)?;
        let stopper = slot.call_off();
        let life = slot.lock_life().await;
        drop(stopper);
        stop(&slot, StopReason::Requested).await;
        drop(life);
        Ok(slot.snapshot())
    }

    /// Hides a sandbox from everyone, for good; what is left of it goes with `delete`. After an
    /// error it is there as before. Of one that is hidden already, the deletion is taken up again.
    pub(crate) async fn condemn(&self, id: &str) -> Result<(), SandboxError> {
        let slot = self.slots().get(id).cloned();
        let slot = slot.ok_or_else(|| SandboxError::NotFound { id: id.to_owned() })?;
        self.hide(&slot).await
    }

    /// As `condemn`.
    pub(super) async fn hide(&self, slot: &Slot) -> Result<(), SandboxError> {
        let first = slot.set_condemned(true);
        let saved = self.0.store.save_sandbox(&slot.snapshot().row).await;
        if saved.is_err() && first {
            slot.set_condemned(false);
        }
        saved?;
        if first {
            self.tell(&slot.snapshot(), events::DELETED, None).await;
        }
        Ok(())
    }

    /// Kills a condemned sandbox and removes its files, its sessions and itself. Gives the ids of
    /// the sessions; none if somebody else was faster.
    pub(crate) async fn delete(&self, id: &str) -> Result<Vec<String>, SandboxError> {
        let Some(slot) = self.slots().get(id).cloned() else { return Ok(Vec::new()) };
        self.remove(&slot).await
    }

    /// As `delete`.
    pub(super) async fn remove(&self, slot: &Arc<Slot>) -> Result<Vec<String>, SandboxError> {
        let id = &slot.snapshot().row.id;
        let life = slot.lock_life().await;
        let is_there = self.slots().get(id).is_some_and(|there| Arc::ptr_eq(there, slot));
        if !is_there {
            // Somebody else was faster, and the name may be another one's by now.
            return Ok(Vec::new());
        }
        stop(slot, StopReason::Deleted).await;
        let sessions = self.erase(id).await?;
        self.slots().remove(id);
        // Another request may have failed to save it, and taken it back.
        slot.set_condemned(true);
        drop(life);
        Ok(sessions)
    }

    /// Removes what is left of a sandbox that does not run.
    pub(super) async fn erase(&self, id: &str) -> Result<Vec<String>, StoreError> {
        // The row goes all the same: a folder that can't be removed must not keep the data.
        self.remove_files(id).await;
        self.0.store.delete_sandbox(id).await
    }

    /// Removes a sandbox's folder; its name is free at once.
    pub(super) async fn remove_files(&self, id: &str) {
        if let Err(error) = folder::remove(&self.0.config.folder.join(id)).await {
            tracing::error!(sandbox = id, %error, "the sandbox's folder could not be removed");
        }
    }

    /// Stops what nobody uses, ends what has lived its time, and forgets what is long over, until
    /// cancelled.
    pub(crate) async fn watch_idle(self, pause: Duration, cancelled: CancellationToken) {
        let mut daily = Daily::default();
        while cancelled.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            if daily.is_due(now_ms()) {
                self.forget_runs().await;
            }
            let slots: Vec<_> = self.slots().values().cloned().collect();
            if slots.iter().any(|slot| slot.running().is_some()) {
                self.see_runs().await;
            }
            for slot in &slots {
                if slot.is_condemned() || self.expire_if_over(slot) {
                    continue;
                }
                let idle = slot.request().idle_timeout_seconds;
                let idle = idle.unwrap_or(self.0.config.idle_timeout.as_secs());
                let idle_ms = i64::try_from(idle.saturating_mul(1000)).unwrap_or(i64::MAX);
                slot.stop_if_idle(idle_ms, StopReason::Idle);
            }
            self.forget_expired(slots).await;
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

/// Stops a sandbox whose life is locked.
pub(super) async fn stop(slot: &Slot, reason: StopReason) {
    if let Some(running) = slot.running() {
        running.stop.ask(reason);
        running.ended.cancelled().await;
    }
}

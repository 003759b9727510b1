//! What happens to a sandbox, as events of a log of its own: numbered, replayed, there after a
//! restart, like the events of a session.

use std::sync::Arc;

use sandbox_sdk::types::{Event, SandboxStatus};
use serde_json::json;

use super::{SandboxError, Sandboxes, Snapshot, slot::Slot, stop::StopReason};
use crate::{
    clock::{iso, now_ms},
    log::SessionLog,
    store::StoreError,
};

/// What it is made with was changed.
pub(super) const UPDATED: &str = "sandbox.updated";
/// Its lifetime is over.
pub(super) const EXPIRED: &str = "sandbox.expired";
/// It is gone; the log goes with it.
pub(super) const DELETED: &str = "sandbox.deleted";

impl Sandboxes {
    /// The log of a sandbox's life.
    pub(crate) async fn events(&self, id: &str) -> Result<Arc<SessionLog>, SandboxError> {
        self.slot(id)?;
        Ok(self.life_log(id).await?)
    }

    /// The same for who wants to see no more than its end: nothing is written for that.
    pub(crate) async fn end_of(&self, id: &str) -> Result<Arc<SessionLog>, SandboxError> {
        self.slot(id)?;
        Ok(self.0.logs.session(&name_of_life(id)).await?)
    }

    async fn life_log(&self, id: &str) -> Result<Arc<SessionLog>, StoreError> {
        let row = self.0.store.open_session(&name_of_life(id), id).await?;
        self.0.logs.known_session(&row).await
    }

    /// Tells where a sandbox stands now, and why it stopped, if it ran. Its deletion and its expiry
    /// are told once, by who brings them about.
    pub(super) async fn tell_status(&self, slot: &Slot, reason: Option<StopReason>) {
        let snapshot = slot.snapshot();
        let status = snapshot.status();
        if !matches!(status, SandboxStatus::Deleted | SandboxStatus::Expired) {
            self.tell(&snapshot, &format!("sandbox.{}", status.as_str()), reason).await;
        }
    }

    /// Writes an event. Nothing that is done to a sandbox fails for it.
    pub(super) async fn tell(&self, snapshot: &Snapshot, kind: &str, reason: Option<StopReason>) {
        let id = &snapshot.row.id;
        let mut data = json!({
            "sandboxId": id,
            "status": snapshot.status().as_str(),
            "timestamp": iso(now_ms()),
        });
        if let Some(reason) = reason {
            data["reason"] = reason.as_str().into();
        }
        if let Some(error) = &snapshot.row.error {
            data["error"] = error.as_str().into();
        }
        if let Some(end) = snapshot.expires_at() {
            data["expiresAt"] = iso(end).into();
        }
        if let Err(error) = self.append(id, kind, &data).await {
            tracing::warn!(sandbox = id, kind, error, "event of a sandbox not written");
        }
    }

    async fn append(&self, id: &str, kind: &str, data: &serde_json::Value) -> Result<(), String> {
        let event = Event::new(kind, data).map_err(|error| error.to_string())?;
        let log = self.life_log(id).await.map_err(|error| error.to_string())?;
        let appended = self.0.logs.append(&log, vec![event], None).await;
        appended.map(drop).map_err(|error| error.to_string())
    }
}

/// No agent session's id begins like this, so that none can be mixed up with it.
fn name_of_life(id: &str) -> String {
    format!("@{id}")
}

//! What happens to a sandbox, as events of a log of its own: numbered, replayed, there after a
//! restart, like the events of a session.

use std::sync::Arc;

use sandbox_sdk::types::{Event, SandboxStatus};
use serde_json::{Value, json};

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
/// It runs, from now on or again.
const RUNNING: &str = "sandbox.running";
/// What clients of the protocol call a sandbox that runs, and one whose files are gone.
const READY: &str = "container.ready";
const REMOVED: &str = "container.removed";
/// One of its ports can be reached from outside.
const PORT_OPENED: &str = "port.opened";

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

    /// Writes an event, and beside it what clients know it by. Nothing that is done to a sandbox
    /// fails for it.
    pub(super) async fn tell(&self, snapshot: &Snapshot, kind: &str, reason: Option<StopReason>) {
        let mut data = about(snapshot);
        if let Some(reason) = reason {
            data["reason"] = reason.as_str().into();
        }
        if let Some(error) = &snapshot.row.error {
            data["error"] = error.as_str().into();
        }
        if let Some(end) = snapshot.expires_at() {
            data["expiresAt"] = iso(end).into();
        }
        let was_removed = snapshot.row.expired_at.is_some();
        let kinds = [Some(kind), known_as(kind, was_removed)];
        self.write(snapshot, kinds.into_iter().flatten(), &data).await;
    }

    /// Tells that a port was opened. Its URL is not told: who knows it is let in.
    pub(super) async fn tell_opened(&self, snapshot: &Snapshot, port: u16) {
        let mut data = about(snapshot);
        data["port"] = port.into();
        self.write(snapshot, [PORT_OPENED], &data).await;
    }

    async fn write<'a>(
        &self,
        snapshot: &Snapshot,
        kinds: impl IntoIterator<Item = &'a str>,
        data: &Value,
    ) {
        let events: Result<Vec<_>, _> =
            kinds.into_iter().map(|kind| Event::new(kind, data)).collect();
        let appended = match events {
            Ok(events) => self.append(&snapshot.row.id, events).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = appended {
            tracing::warn!(sandbox = snapshot.row.id, error, "event of a sandbox not written");
        }
    }

    async fn append(&self, id: &str, events: Vec<Event>) -> Result<(), String> {
        let log = self.life_log(id).await.map_err(|error| error.to_string())?;
        let appended = self.0.logs.append(&log, events, None).await;
        appended.map(drop).map_err(|error| error.to_string())
    }
}

/// What every event says.
fn about(snapshot: &Snapshot) -> Value {
    json!({
        "sandboxId": snapshot.row.id,
        "status": snapshot.status().as_str(),
        "timestamp": iso(now_ms()),
    })
}

/// The name by which clients of the protocol know an event. What has expired is removed once.
fn known_as(kind: &str, was_removed: bool) -> Option<&'static str> {
    match kind {
        RUNNING => Some(READY),
        EXPIRED => Some(REMOVED),
        DELETED if !was_removed => Some(REMOVED),
        _ => None,
    }
}

/// No agent session's id begins like this, so that none can be mixed up with it.
fn name_of_life(id: &str) -> String {
    format!("@{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_learn_by_their_own_names_that_a_sandbox_is_ready_and_once_that_it_is_gone() {
        let told = [RUNNING, EXPIRED, DELETED, UPDATED, "sandbox.stopped", "sandbox.failed"];
        assert_eq!(
            told.map(|kind| known_as(kind, false)),
            [Some(READY), Some(REMOVED), Some(REMOVED), None, None, None]
        );
        assert_eq!(known_as(DELETED, true), None);
        assert_eq!(RUNNING, format!("sandbox.{}", SandboxStatus::Running.as_str()));
    }
}

//! What can be changed of a sandbox that is there.

use std::sync::Arc;

use sandbox_sdk::types::{CreateSandbox, UpdateSandbox};
use tokio::sync::OwnedMutexGuard;

use super::{SandboxError, Sandboxes, Snapshot, events, request, slot::Slot};

impl Sandboxes {
    /// Changes what a sandbox is made with. It counts as use.
    pub(crate) async fn change(
        &self,
        id: &str,
        update: UpdateSandbox,
    ) -> Result<Snapshot, SandboxError> {
        request::check_update(&update)?;
        let slot = self.slot(id)?;
        if self.expire_if_over(&slot) {
            return Err(SandboxError::Expired);
        }
        let sandboxes = self.clone();
        // In a task of its own: what is written down must be what is in force.
        let changed = self.0.tasks.spawn(async move { sandboxes.apply(&slot, update).await });
        changed.await.unwrap_or(Err(SandboxError::ShuttingDown))
    }

    async fn apply(
        &self,
        slot: &Arc<Slot>,
        update: UpdateSandbox,
    ) -> Result<Snapshot, SandboxError> {
        let (life, before) = begin(slot).await?;
        let mut request = CreateSandbox::clone(&before);
        let UpdateSandbox { name, idle_timeout_seconds, max_lifetime_seconds, metadata, .. } =
            update;
        request.name = name.or(request.name);
        request.idle_timeout_seconds = idle_timeout_seconds.or(request.idle_timeout_seconds);
        request.max_lifetime_seconds = max_lifetime_seconds.or(request.max_lifetime_seconds);
        request.metadata = metadata.or(request.metadata);
        // Who only keeps it alive, again and again, must not fill its log.
        let is_new = request != *before;
        if is_new {
            self.write_down(slot, request).await?;
        }
        slot.touch();
        drop(life);
        let snapshot = slot.snapshot();
        if is_new {
            self.tell(&snapshot, events::UPDATED, None).await;
        }
        Ok(snapshot)
    }

    /// What a sandbox is made with from now on.
    pub(super) async fn write_down(
        &self,
        slot: &Slot,
        request: CreateSandbox,
    ) -> Result<(), SandboxError> {
        let id = slot.snapshot().row.id;
        let sealed = self.seal(&id, &request)?;
        self.0.store.save_request(&id, &sealed, request.max_lifetime_seconds).await?;
        slot.set_request(request);
        Ok(())
    }
}

/// One change at a time: what the sandbox is made with, held until the guard is dropped.
pub(super) async fn begin(
    slot: &Slot,
) -> Result<(OwnedMutexGuard<()>, Arc<CreateSandbox>), SandboxError> {
    let life = slot.lock_life().await;
    if slot.is_condemned() {
        return Err(SandboxError::NotFound { id: slot.snapshot().row.id });
    }
    if let Some(why) = slot.unreadable() {
        // What could be read again with the right secret would be lost.
        return Err(SandboxError::Unreadable(why));
    }
    Ok((life, slot.request()))
}

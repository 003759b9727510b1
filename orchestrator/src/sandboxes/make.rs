//! How a sandbox is made.

use std::{sync::Arc, time::Duration};

use sandbox_sdk::types::CreateSandbox;

use super::{NetworkAsk, Order, SandboxError, Sandboxes, Snapshot, request, slot::Slot};
use crate::{clock::now_ms, snapshots::SnapshotError, store::SandboxRow, toolchain};

impl Sandboxes {
    /// Makes a sandbox and starts it in the background. The same idempotency key, or the same id
    /// chosen by the caller, answers with the one that stands; `true`: it is new.
    pub(crate) async fn create(&self, order: Order) -> Result<(Snapshot, bool), SandboxError> {
        request::check(&order.request)?;
        let key = order.request.idempotency_key.as_deref();
        if let Some(known) = self.known(order.id.as_deref(), key) {
            return Ok((known.snapshot(), false));
        }
        self.check_available(&order.request).await?;
        let sandboxes = self.clone();
        // In a task of its own: a caller that goes away must not leave a row that nobody starts.
        let made = self.0.tasks.spawn(async move { sandboxes.make(order).await });
        made.await.unwrap_or_else(|error| Err(SandboxError::Start(error.to_string())))
    }

    /// Refuses what is not there at the moment, before anything is made.
    async fn check_available(&self, request: &CreateSandbox) -> Result<(), SandboxError> {
        self.check_network(&NetworkAsk::of(request)?)?;
        self.check_repository(request)?;
        self.check_driver(request).await?;
        self.0.snapshots.check_origin(&request.extra).await.map_err(|error| match error {
            SnapshotError::Store(error) => error.into(),
            error => SandboxError::Invalid(error.to_string()),
        })?;
        if let Some(missing) = self.0.vault.missing(&request.secrets).await? {
            let missing: String = missing.chars().take(64).collect();
            return Err(SandboxError::Invalid(format!("there is no secret {missing:?}")));
        }
        let secrets = self.0.vault.environment(&request.secrets).await?;
        request::check_room(&request.env, &secrets)?;
        for (tool, version) in request::tools(request)? {
            let there = toolchain::check(&tool, &version).await;
            there.map_err(|reason| SandboxError::NotImplemented { feature: "tools", reason })?;
        }
        if let Some(backend) = &request.backend {
            self.0.models.choose(backend).await.map_err(SandboxError::NotAvailable)?;
        }
        Ok(())
    }

    async fn make(&self, order: Order) -> Result<(Snapshot, bool), SandboxError> {
        let Order { id, mut request, ephemeral } = order;
        let making = self.0.making.lock().await;
        if let Some(known) = self.known(id.as_deref(), request.idempotency_key.as_deref()) {
            return Ok((known.snapshot(), false));
        }
        let limit = self.0.config.max_sandboxes;
        // Of those that are expired no more than a row is left.
        let existing = self.slots().values().filter(|slot| !slot.is_expired()).count();
        if existing >= limit {
            return Err(SandboxError::TooMany { current: existing, limit });
        }
        request.max_lifetime_seconds = request.max_lifetime_seconds.or(self.0.config.max_lifetime);
        let now = now_ms();
        let row = SandboxRow {
            id: id.unwrap_or_else(random_id),
            idempotency_key: request.idempotency_key.clone(),
            status: "provisioning".to_owned(),
            error: None,
            created_at: now,
            started_at: None,
            first_started_at: None,
            expired_at: None,
            last_activity_at: now,
            ephemeral,
        };
        let sealed = self.seal(&row.id, &request)?;
        let lifetime = request.max_lifetime_seconds;
        let uses_image = self.uses_image(&request);
        let slot = Arc::new(Slot::new(row.clone(), request, None, uses_image));
        // The lock on its life is held from before others see it, so that the first start is ours.
        let life = slot.lock_life().await;
        if !self.0.store.insert_sandbox(&row, &sealed, lifetime).await? {
            // What is in the way is none that could be found: it is on its way out.
            return Err(SandboxError::BeingDeleted);
        }
        self.slots().insert(row.id, slot.clone());
        drop(making);
        let snapshot = slot.snapshot();
        let sandboxes = self.clone();
        self.0.tasks.spawn(async move {
            sandboxes.tell_status(&slot, None).await;
            sandboxes.open_first_ports(&slot).await;
            // A failed start stands in the sandbox's status; there is nobody here to tell.
            drop(sandboxes.start(&slot, life).await);
        });
        Ok((snapshot, true))
    }

    /// The sandbox once its start is over, whatever came of it; as it is then, after so long.
    pub(crate) async fn settled(
        &self,
        id: &str,
        patience: Duration,
    ) -> Result<Snapshot, SandboxError> {
        let slot = self.slot(id)?;
        // Held by whoever starts it.
        drop(tokio::time::timeout(patience, slot.lock_life()).await);
        Ok(slot.snapshot())
    }
}

/// `sandbox-` and 12 random hexadecimal digits.
fn random_id() -> String {
    let random = uuid::Uuid::now_v7().simple().to_string();
    // A version 7 UUID ends in random bits; it begins with the time.
    format!("sandbox-{}", random.get(20..).unwrap_or(&random))
}

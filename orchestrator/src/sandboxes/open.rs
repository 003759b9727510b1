//! What the last process left, and how it was sealed.

use std::sync::{Arc, Mutex};

use sandbox_sdk::types::CreateSandbox;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Grounds, Inner, SandboxError, Sandboxes, SandboxesConfig, folder, slot::Slot};
use crate::{
    clock::now_ms,
    store::{StoreError, StoredSandbox},
};

impl Sandboxes {
    /// Takes over what the last process left: nothing runs, half-made deletions are finished.
    pub(crate) async fn open(
        config: SandboxesConfig,
        grounds: Grounds,
    ) -> Result<Self, StoreError> {
        let Grounds { store, logs, driver, models, vault, sealer } = grounds;
        store.close_runs(now_ms()).await?;
        let stored = store.sandboxes().await?;
        let running = Arc::new(Semaphore::new(config.max_running));
        let sandboxes = Self(Arc::new(Inner {
            config,
            store,
            logs,
            driver,
            models,
            vault,
            sealer,
            slots: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            running,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        // Looked for before anything is deleted anew; nobody has to wait until they are gone.
        let leftovers = folder::leftovers(&sandboxes.0.config.folder);
        for stored in stored {
            sandboxes.take_over(stored).await?;
        }
        sandboxes.0.tasks.spawn(async move {
            for folder in leftovers {
                if let Err(error) = folder::finish(folder).await {
                    tracing::error!(%error, "the folder of a deleted sandbox is still there");
                }
            }
        });
        Ok(sandboxes)
    }

    async fn take_over(&self, stored: StoredSandbox) -> Result<(), StoreError> {
        if stored.row.status == "deleted" || stored.row.ephemeral {
            return self.erase(&stored.row.id).await.map(drop);
        }
        let request = self.unseal(&stored).await?;
        let mut row = stored.row;
        // What has run before has files, and can run again.
        let never_ran = row.status == "failed" && row.started_at.is_none();
        let was_cut_off = row.status != "stopped" && !never_ran;
        if was_cut_off {
            row.status = "stopped".to_owned();
            self.0.store.save_sandbox(&row).await?;
        }
        let id = row.id.clone();
        let slot = Arc::new(Slot::new(row, request));
        self.slots().insert(id, slot.clone());
        if was_cut_off {
            self.tell_status(&slot).await;
        }
        Ok(())
    }

    /// What a sandbox was made with; `None` when nobody can read it any more. What an older version
    /// left open is sealed.
    async fn unseal(&self, stored: &StoredSandbox) -> Result<Option<CreateSandbox>, StoreError> {
        let id = &stored.row.id;
        let is_open = stored.request.starts_with('{');
        let text = if is_open {
            Some(stored.request.clone())
        } else {
            self.0.sealer.open(&purpose(id), &stored.request).ok()
        };
        // The parser's own words may quote a secret.
        let request: Option<CreateSandbox> = text.and_then(|text| serde_json::from_str(&text).ok());
        match &request {
            None => tracing::error!(sandbox = id, "what a sandbox was made with can't be read"),
            Some(request) if is_open => {
                if let Ok(sealed) = self.seal(id, request) {
                    self.0.store.save_request(id, &sealed).await?;
                }
            }
            Some(_) => {}
        }
        Ok(request)
    }

    pub(super) fn seal(&self, id: &str, request: &CreateSandbox) -> Result<String, SandboxError> {
        let request = serde_json::to_string(request).map_err(StoreError::from)?;
        Ok(self.0.sealer.seal(&purpose(id), &request)?)
    }
}

/// What a sandbox's request is sealed for.
fn purpose(id: &str) -> String {
    format!("sandbox {id}")
}

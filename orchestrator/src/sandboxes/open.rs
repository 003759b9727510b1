//! What the last process left, and how it was sealed.

use std::sync::{Arc, Mutex};

use sandbox_sdk::types::CreateSandbox;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Grounds, Inner, SandboxError, Sandboxes, SandboxesConfig, Unreadable, folder, slot::Slot,
    stop::StopReason,
};
use crate::{
    metrics::SandboxFigures,
    store::{StoreError, StoredSandbox},
};

impl Sandboxes {
    /// Takes over what the last process left: nothing runs, half-made deletions are finished.
    pub(crate) async fn open(
        config: SandboxesConfig,
        grounds: Grounds,
    ) -> Result<Self, StoreError> {
        let Grounds { store, logs, drivers, models, vault, sealer, snapshots } = grounds;
        store.close_runs().await?;
        let stored = store.sandboxes().await?;
        let running = Arc::new(Semaphore::new(config.max_running));
        let sandboxes = Self(Arc::new(Inner {
            config,
            store,
            logs,
            drivers,
            models,
            vault,
            sealer,
            snapshots,
            slots: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            running,
            figures: SandboxFigures::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        // Looked for before anything is deleted anew; nobody has to wait until they are gone.
        let leftovers = folder::leftovers(&sandboxes.0.config.folder);
        for stored in stored {
            sandboxes.take_over(stored).await?;
        }
        if let Err(error) = sandboxes.0.store.scrub().await {
            tracing::error!(%error, "what older versions wrote in clear may still be in the file");
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
        let (request, unreadable) = match self.unseal(&stored).await? {
            Ok(request) => (request, None),
            Err(why) => {
                let lifetime = stored.max_lifetime_seconds;
                let max_lifetime_seconds = lifetime.and_then(|seconds| u64::try_from(seconds).ok());
                (CreateSandbox { max_lifetime_seconds, ..CreateSandbox::default() }, Some(why))
            }
        };
        let mut row = stored.row;
        // What has run before has files, and can run again.
        let never_ran = row.status == "failed" && row.started_at.is_none();
        let was_cut_off = row.status != "stopped" && !never_ran;
        if was_cut_off {
            row.status = "stopped".to_owned();
            self.0.store.save_sandbox(&row).await?;
        }
        let id = row.id.clone();
        let uses_image = self.uses_image(&request);
        let slot = Arc::new(Slot::new(row, request, unreadable, uses_image));
        self.slots().insert(id, slot.clone());
        if was_cut_off {
            self.tell_status(&slot, Some(StopReason::Interrupted)).await;
        }
        if slot.is_expired() {
            let sandboxes = self.clone();
            // The last process may have been killed before it had.
            self.0.tasks.spawn(async move { sandboxes.clear(&slot).await });
        }
        Ok(())
    }

    /// What a sandbox was made with, if anybody can read it. What an older version left open is
    /// sealed.
    async fn unseal(
        &self,
        stored: &StoredSandbox,
    ) -> Result<Result<CreateSandbox, Unreadable>, StoreError> {
        let (id, request) = (&stored.row.id, &stored.request);
        let is_open = request.starts_with('{');
        let text = if is_open {
            Ok(request.clone())
        } else {
            self.0.sealer.open(&purpose(id), request).map_err(|_| Unreadable::Sealed)
        };
        let read = text.and_then(|text| {
            // The parser's own words may quote a secret.
            serde_json::from_str::<CreateSandbox>(&text).map_err(|_| Unreadable::Foreign)
        });
        if let Err(why) = &read {
            tracing::error!(sandbox = id, %why, "what a sandbox was made with can't be read");
        }
        if is_open && let Ok(sealed) = self.0.sealer.seal(&purpose(id), request) {
            let lifetime = read.as_ref().ok().and_then(|request| request.max_lifetime_seconds);
            self.0.store.save_request(id, &sealed, lifetime).await?;
        }
        Ok(read)
    }

    pub(super) fn seal(&self, id: &str, request: &CreateSandbox) -> Result<String, SandboxError> {
        Ok(self.0.sealer.seal(&purpose(id), &written(request)?)?)
    }
}

/// A request as it is kept. One that would be read as another one after a restart is refused: it
/// was not checked as what it would be then.
fn written(request: &CreateSandbox) -> Result<String, SandboxError> {
    let text = serde_json::to_string(request).map_err(StoreError::from)?;
    match serde_json::from_str::<CreateSandbox>(&text) {
        Ok(read) if read == *request => Ok(text),
        _ => Err(SandboxError::Invalid("the request can't be kept as it is".to_owned())),
    }
}

/// What a sandbox's request is sealed for.
fn purpose(id: &str) -> String {
    format!("sandbox {id}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_that_would_be_read_as_another_one_is_not_kept() {
        let plain: CreateSandbox =
            serde_json::from_value(json!({"env": {"A": "1"}, "flavour": "sweet"})).unwrap();
        assert!(written(&plain).is_ok());
        for (field, value) in [
            // It stands there twice: nothing could read that.
            ("env", json!({"LD_PRELOAD": "/workspace/evil.so"})),
            // It would become real.
            ("resources", json!({"memoryMB": 1})),
        ] {
            let mut request = plain.clone();
            request.extra.insert(field.to_owned(), value);
            assert!(matches!(written(&request), Err(SandboxError::Invalid(_))), "{field}");
        }
    }

    #[test]
    fn numbers_are_kept_exactly() {
        // Some of them have more digits than a hasty reader gets right.
        let numbers: Vec<_> = (1..2000_u32).map(|n| f64::from(n) / 7.0).collect();
        let metadata = json!({"floats": numbers, "large": u64::MAX, "small": i64::MIN});
        let request = CreateSandbox { metadata: Some(metadata), ..CreateSandbox::default() };
        assert!(written(&request).is_ok());
    }
}

//! Start, stop, resume, delete, and what happens by itself.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, TryAcquireError};
use tokio_util::sync::CancellationToken;

use super::{
    Lease, SandboxError, Sandboxes, Snapshot, folder, request,
    slot::{Running, Slot},
};
use crate::{
    agents,
    clock::now_ms,
    driver::{DriverError, ExitReason, RunningSandbox, SandboxSpec},
    models::ModelSocket,
    store::{SandboxRow, StoreError},
};

impl Sandboxes {
    /// The sandbox, running: resumed if it is stopped, waited for if it is just being started.
    pub(crate) async fn lease(&self, id: &str) -> Result<Lease, SandboxError> {
        let slot = self.slot(id)?;
        if let Some(lease) = slot.lease() {
            return Ok(lease);
        }
        let sandboxes = self.clone();
        let started = self.0.tasks.spawn(async move {
            // In a task of its own: a caller that goes away must not leave a half-started sandbox.
            let life = slot.lock_life().await;
            match slot.lease() {
                Some(lease) => Ok(lease),
                None => sandboxes.start(&slot, life).await,
            }
        });
        started.await.unwrap_or_else(|error| Err(SandboxError::Start(error.to_string())))
    }

    /// Starts a sandbox that does not run.
    pub(super) async fn start(
        &self,
        slot: &Arc<Slot>,
        life: OwnedMutexGuard<()>,
    ) -> Result<Lease, SandboxError> {
        // The last process of it may still be on its way out.
        if let Some(running) = slot.running() {
            running.ended.cancelled().await;
        }
        let snapshot = slot.snapshot();
        if slot.is_condemned() {
            return Err(SandboxError::NotFound);
        }
        let started = match self.permit().await {
            Ok(permit) => self.spawn(&snapshot).await.map(|running| (running, permit)),
            Err(error) => Err(error),
        };
        let row = match &started {
            Ok(_) => slot.change(|row| {
                row.status = "running".to_owned();
                row.error = None;
                row.started_at = Some(now_ms());
            }),
            Err(error) => {
                tracing::warn!(sandbox = snapshot.row.id, %error, "sandbox not started");
                slot.change(|row| not_started(row, error))
            }
        };
        let saved = self.0.store.save_sandbox(&row).await;
        let ((running, models), permit) = started?;
        slot.touch();
        self.supervise(slot.clone(), running, models, permit);
        let lease = slot.lease();
        drop(life);
        saved?;
        lease.ok_or(SandboxError::ShuttingDown)
    }

    /// The right to run one more. When all are taken, the sandbox that was idle longest goes.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, SandboxError> {
        loop {
            match self.0.running.clone().try_acquire_owned() {
                Ok(permit) => return Ok(permit),
                Err(TryAcquireError::Closed) => return Err(SandboxError::ShuttingDown),
                Err(TryAcquireError::NoPermits) => {}
            }
            let mut slots: Vec<_> = self.slots().values().cloned().collect();
            slots.sort_by_key(|slot| std::cmp::Reverse(slot.idle_ms()));
            let Some(ended) = slots.iter().find_map(|slot| slot.stop_if_idle(0)) else {
                let limit = self.0.config.max_running;
                return Err(SandboxError::Quota { what: "run", limit });
            };
            ended.cancelled().await;
        }
    }

    async fn spawn(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(RunningSandbox, ModelSocket), SandboxError> {
        // Looked for each time: one may have been installed since.
        let folder = self.0.config.agents.clone();
        let installed = tokio::task::spawn_blocking(move || {
            agents::installed(&folder, std::env::var_os("PATH").as_deref())
        });
        let spec = SandboxSpec {
            id: snapshot.row.id.clone(),
            root: self.0.config.folder.join(&snapshot.row.id),
            env: snapshot.request.env.clone(),
            limits: request::limits(snapshot.request.resources.as_ref())?,
            demo_pace: self.0.config.demo_pace,
            agents: installed.await.unwrap_or_default(),
            patience: self.0.config.patience,
        };
        // Before the sandbox, which gets to see the socket that stands there when it starts.
        let models = self.0.models.listen(&spec.id, &spec.root);
        let models = models
            .map_err(|error| SandboxError::Start(format!("the model gateway's socket: {error}")))?;
        let running = self.0.driver.start(&spec).await.map_err(|error| match error {
            DriverError::NoFreeUid(limit) => SandboxError::Quota { what: "run", limit },
            error => SandboxError::Start(error.to_string()),
        })?;
        Ok((running, models))
    }

    /// Gives a running sandbox to a task that owns it until its end.
    fn supervise(
        &self,
        slot: Arc<Slot>,
        running: RunningSandbox,
        models: ModelSocket,
        permit: OwnedSemaphorePermit,
    ) {
        let handle = Running {
            sidecar: running.sidecar().clone(),
            stop: self.0.closing.child_token(),
            ended: CancellationToken::new(),
        };
        slot.set_running(Some(handle.clone()));
        let store = self.0.store.clone();
        self.0.tasks.spawn(async move {
            let died = tokio::select! {
                reason = running.exited() => Some(words(reason)),
                () = handle.stop.cancelled() => None,
            };
            running.kill().await;
            drop((models, permit));
            slot.set_running(None);
            let row = slot.change(|row| {
                row.status = "stopped".to_owned();
                row.error = died.clone();
            });
            match &died {
                Some(reason) => tracing::warn!(sandbox = row.id, reason, "sandbox ended"),
                None => tracing::info!(sandbox = row.id, "sandbox stopped"),
            }
            if let Err(error) = store.save_sandbox(&row).await {
                tracing::error!(sandbox = row.id, %error, "end of a sandbox not saved");
            }
            handle.ended.cancel();
        });
    }

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
        Ok(saved?)
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

    /// Stops what nobody uses, and what has lived its time, until cancelled.
    pub(crate) async fn watch_idle(self, pause: Duration, cancelled: CancellationToken) {
        while cancelled.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let slots: Vec<_> = self.slots().values().cloned().collect();
            for slot in slots {
                let request = slot.request();
                let started = slot.snapshot().row.started_at;
                let lived = started.map_or(0, |started| now_ms() - started);
                let idle = request.idle_timeout_seconds;
                let idle = idle.unwrap_or(self.0.config.idle_timeout.as_secs());
                if request.max_lifetime_seconds.is_some_and(|most| lived >= millis(most)) {
                    if let Some(running) = slot.running() {
                        running.stop.cancel();
                    }
                } else {
                    slot.stop_if_idle(millis(idle));
                }
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

/// What a start that came to nothing makes of a sandbox. Only one that never ran has failed: another
/// has files, and whoever wants it next tries again.
fn not_started(row: &mut SandboxRow, error: &SandboxError) {
    let is_new = row.status == "provisioning";
    match error {
        // Nothing is wrong with the sandbox itself.
        SandboxError::Quota { .. } | SandboxError::ShuttingDown if !is_new => return,
        SandboxError::Quota { .. } | SandboxError::ShuttingDown => {
            row.status = "stopped".to_owned();
        }
        _ if row.started_at.is_none() => row.status = "failed".to_owned(),
        _ => row.status = "stopped".to_owned(),
    }
    row.error = Some(error.to_string());
}

async fn stop(slot: &Slot) {
    if let Some(running) = slot.running() {
        running.stop.cancel();
        running.ended.cancelled().await;
    }
}

fn words(reason: ExitReason) -> String {
    match reason {
        ExitReason::MemoryLimit => "the sandbox used more memory than it may".to_owned(),
        ExitReason::Exited(Some(code)) => format!("the sandbox ended with code {code}"),
        ExitReason::Exited(None) | ExitReason::Killed => "the sandbox was killed".to_owned(),
    }
}

fn millis(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}

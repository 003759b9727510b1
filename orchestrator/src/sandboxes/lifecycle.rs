//! How a sandbox is started, and what watches over it while it runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox_sdk::types::SandboxStatus;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, TryAcquireError};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};

use super::{
    Lease, SandboxError, Sandboxes, Snapshot, repository, request,
    slot::{Running, Slot},
    stop::{Stop, StopReason},
};
use crate::{
    agents,
    clock::now_ms,
    driver::{DriverError, ExitReason, RunningSandbox, SandboxSpec},
    models::ModelSocket,
    network::{NetworkDoor, Policy},
    store::SandboxRow,
    traces::TARGET,
};

/// Between two looks whether a sandbox is still wanted that is being made or filled.
const UNWANTED_PAUSE: Duration = Duration::from_millis(200);

/// A sandbox's process that nobody watches over yet, and what is its own.
struct Started {
    running: RunningSandbox,
    models: ModelSocket,
    network: NetworkDoor,
    permit: OwnedSemaphorePermit,
    /// Secrets that were asked for and are not in its environment.
    without: Arc<[String]>,
}

impl Sandboxes {
    /// The sandbox, running: resumed if it is stopped, waited for if it is just being started.
    pub(crate) async fn lease(&self, id: &str) -> Result<Lease, SandboxError> {
        let slot = self.slot(id)?;
        if self.expire_if_over(&slot) {
            return Err(SandboxError::Expired);
        }
        if let Some(lease) = slot.lease() {
            return Ok(lease);
        }
        let sandboxes = self.clone();
        let start = async move {
            let life = slot.lock_life().await;
            match slot.lease() {
                Some(lease) => Ok(lease),
                None => sandboxes.start(&slot, life).await,
            }
        };
        // In a task of its own: a caller that goes away must not leave a half-started sandbox.
        let started = self.0.tasks.spawn(start.in_current_span());
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
            return Err(SandboxError::NotFound { id: snapshot.row.id });
        }
        if slot.is_expired() {
            return Err(SandboxError::Expired);
        }
        let began = Instant::now();
        let traced = tracing::info_span!(
            target: TARGET,
            "sandbox.start",
            sandbox.id = snapshot.row.id,
            failed = Empty,
        );
        let starting = async {
            let permit = self.permit().await?;
            self.fetched(slot, &snapshot).await?;
            self.spawn(&snapshot, permit).await
        };
        let started = starting.instrument(traced.clone()).await;
        traced.record("failed", started.is_err());
        drop(traced);
        self.0.figures.started(began.elapsed(), started.is_ok());
        let started = match started {
            Ok(started) => self.filled(slot, started).await,
            Err(error) => Err(error),
        };
        let row = match &started {
            Ok(_) => slot.change(|row| {
                row.status = "running".to_owned();
                row.error = None;
                row.started_at = Some(now_ms());
                row.first_started_at = row.first_started_at.or(row.started_at);
            }),
            Err(error) => {
                tracing::warn!(sandbox = snapshot.row.id, %error, "sandbox not started");
                slot.change(|row| not_started(row, error))
            }
        };
        let saved = self.0.store.save_sandbox(&row).await;
        if row.status != snapshot.row.status || row.error != snapshot.row.error {
            self.tell_status(slot, None).await;
        }
        let started = started?;
        slot.touch();
        let run = self.begin_run(&row.id).await;
        self.supervise(slot.clone(), started, run);
        let lease = slot.lease();
        if saved.is_ok() {
            self.forget_token(slot).await;
        }
        drop(life);
        saved?;
        lease.ok_or(SandboxError::ShuttingDown)
    }

    /// Whether a lease need not fail for want of room: the sandbox runs, or one more could.
    pub(crate) fn can_run(&self, id: &str) -> bool {
        let slots = self.slots();
        let is_idle = |slot: &Arc<Slot>| slot.running().is_some() && slot.idle_ms().is_some();
        slots.get(id).is_none_or(|slot| slot.running().is_some())
            || self.0.running.available_permits() > 0
            || slots.values().any(is_idle)
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
            let stopped = |slot: &Arc<Slot>| slot.stop_if_idle(0, StopReason::MakeRoom);
            let Some(ended) = slots.iter().find_map(stopped) else {
                let limit = self.0.config.max_running;
                return Err(SandboxError::Quota { what: "run", limit });
            };
            ended.cancelled().await;
        }
    }

    /// Waits for what the sandbox is made of, as long as it is wanted.
    async fn fetched(&self, slot: &Slot, snapshot: &Snapshot) -> Result<(), SandboxError> {
        let choice = self.choose_driver(&snapshot.request)?;
        tokio::select! {
            // What is there counts, and most of the time there is nothing to be fetched.
            biased;
            fetched = choice.driver.fetch(choice.image.as_deref()) => {
                fetched.map_err(|error| SandboxError::Start(error.to_string()))
            }
            () = self.0.closing.cancelled() => Err(SandboxError::ShuttingDown),
            error = unwanted(slot) => Err(error),
        }
    }

    async fn spawn(
        &self,
        snapshot: &Snapshot,
        permit: OwnedSemaphorePermit,
    ) -> Result<Started, SandboxError> {
        // Looked for each time: one may have been installed since.
        let folders = self.0.config.agents.clone();
        let installed = tokio::task::spawn_blocking(move || {
            agents::installed(&folders, std::env::var_os("PATH").as_deref())
        });
        let asked = &snapshot.request.secrets;
        let secrets = self.0.vault.environment(asked).await?;
        let env = request::environment(&snapshot.request.env, secrets);
        let without = asked.iter().filter(|name| !env.contains_key(*name)).cloned().collect();
        let choice = self.choose_driver(&snapshot.request)?;
        let spec = SandboxSpec {
            id: snapshot.row.id.clone(),
            root: self.0.config.folder.join(&snapshot.row.id),
            image: choice.image,
            env,
            limits: request::limits(snapshot.request.resources.as_ref())?,
            demo_pace: self.0.config.demo_pace,
            agents: installed.await.unwrap_or_default(),
            patience: self.0.config.patience,
        };
        // Before the sandbox, which gets to see the socket that stands there when it starts.
        let models = self.0.models.listen(&spec.id, &spec.root);
        let models = models
            .map_err(|error| SandboxError::Start(format!("the model gateway's socket: {error}")))?;
        let policy = self.policy(&snapshot.request);
        let reachable = policy != Policy::None;
        let network = self.0.config.networks.listen(&spec.root, policy);
        let network =
            network.map_err(|error| SandboxError::Start(format!("the proxy's socket: {error}")))?;
        let running = choice.driver.start(&spec).await.map_err(|error| match error {
            DriverError::NoFreeUid(limit) => SandboxError::Quota { what: "run", limit },
            error => SandboxError::Start(error.to_string()),
        })?;
        if reachable && let Err(error) = running.sidecar().tell_network(true).await {
            running.kill().await;
            network.close();
            return Err(SandboxError::Start(format!("the way to the network: {error}")));
        }
        Ok(Started { running, models, network, permit, without })
    }

    /// Puts the snapshot or the repository into a new sandbox that it is to begin with. Without it
    /// the sandbox ends: nobody shall use one that is not what was asked for.
    async fn filled(&self, slot: &Slot, started: Started) -> Result<Started, SandboxError> {
        let snapshot = slot.snapshot();
        if snapshot.row.first_started_at.is_some() {
            return Ok(started);
        }
        let sidecar = started.running.sidecar().clone();
        let filling = async {
            let restored = self.0.snapshots.begin(&sidecar, &snapshot.request.extra).await;
            restored.map_err(|error| {
                SandboxError::Start(format!("its snapshot could not be restored: {error}"))
            })?;
            repository::begin(&sidecar, &snapshot.request).await
        };
        let failed = tokio::select! {
            // What is there counts, and most of the time there is nothing to be filled.
            biased;
            filled = filling => match filled {
                Ok(()) => return Ok(started),
                Err(error) => error,
            },
            () = self.0.closing.cancelled() => SandboxError::ShuttingDown,
            error = unwanted(slot) => error,
        };
        let Started { running, models, network, permit, .. } = started;
        running.kill().await;
        network.close();
        drop((models, permit));
        Err(failed)
    }

    /// Gives a running sandbox to a task that owns it until its end.
    fn supervise(&self, slot: Arc<Slot>, started: Started, run: Option<i64>) {
        let Started { running, models, network, permit, without } = started;
        let handle = Running {
            sidecar: running.sidecar().clone(),
            stop: Stop::new(self.0.closing.child_token()),
            ended: CancellationToken::new(),
            without,
            network: network.clone(),
        };
        slot.set_running(Some(handle.clone()));
        let sandboxes = self.clone();
        self.0.tasks.spawn(async move {
            let (reason, died) = tokio::select! {
                exit = running.exited() => (StopReason::Ended, Some(words(exit))),
                reason = handle.stop.asked() => (reason, None),
            };
            running.kill().await;
            network.close();
            drop((models, permit));
            slot.set_running(None);
            let row = slot.change(|row| {
                row.status = "stopped".to_owned();
                row.error = died.clone();
            });
            match &died {
                Some(how) => tracing::warn!(sandbox = row.id, reason = how, "sandbox ended"),
                None => {
                    tracing::info!(sandbox = row.id, reason = reason.as_str(), "sandbox stopped");
                }
            }
            if let Err(error) = sandboxes.0.store.save_sandbox(&row).await {
                tracing::error!(sandbox = row.id, %error, "end of a sandbox not saved");
            }
            sandboxes.end_run(run).await;
            if slot.snapshot().status() == SandboxStatus::Stopped {
                sandboxes.tell_status(&slot, Some(reason)).await;
            }
            handle.ended.cancel();
        });
    }
}

/// Why nobody waits any more for a sandbox that is being made or filled, once it is so.
async fn unwanted(slot: &Slot) -> SandboxError {
    loop {
        if slot.is_condemned() {
            return SandboxError::NotFound { id: slot.snapshot().row.id };
        }
        if slot.is_expired() {
            return SandboxError::Expired;
        }
        if slot.is_called_off() {
            return SandboxError::CalledOff;
        }
        tokio::time::sleep(UNWANTED_PAUSE).await;
    }
}

/// What a start that came to nothing makes of a sandbox. Only one that never ran has failed:
/// another has files, and whoever wants it next tries again.
fn not_started(row: &mut SandboxRow, error: &SandboxError) {
    let is_new = row.status == "provisioning";
    match error {
        // Nothing is wrong with the sandbox itself.
        SandboxError::Quota { .. } | SandboxError::ShuttingDown | SandboxError::CalledOff => {
            if !is_new {
                return;
            }
            row.status = "stopped".to_owned();
        }
        _ if row.started_at.is_none() => row.status = "failed".to_owned(),
        _ => row.status = "stopped".to_owned(),
    }
    row.error = Some(error.to_string());
}

fn words(reason: ExitReason) -> String {
    match reason {
        ExitReason::MemoryLimit => "the sandbox used more memory than it may".to_owned(),
        ExitReason::Exited(Some(code)) => format!("the sandbox ended with code {code}"),
        ExitReason::Exited(None) | ExitReason::Killed => "the sandbox was killed".to_owned(),
    }
}

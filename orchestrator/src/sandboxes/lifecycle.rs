//! When a sandbox is started, and what comes of it.

use std::{sync::Arc, time::Instant};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, TryAcquireError};
use tracing::{Instrument, field::Empty};

use super::{Lease, SandboxError, Sandboxes, slot::Slot, stop::StopReason};
use crate::{clock::now_ms, store::SandboxRow, traces::TARGET};

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
        if let Some(too_early) = slot.clones.too_early() {
            return Err(too_early);
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
                return Err(SandboxError::NoRoom(limit));
            };
            ended.cancelled().await;
        }
    }
}

/// What a start that came to nothing makes of a sandbox. Only one that never ran has failed:
/// another has files, and whoever wants it next tries again.
fn not_started(row: &mut SandboxRow, error: &SandboxError) {
    let is_new = row.status == "provisioning";
    match error {
        // Nothing is wrong with the sandbox itself.
        SandboxError::NoRoom(_) | SandboxError::ShuttingDown | SandboxError::CalledOff => {
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

//! How long sandboxes ran, counted so that a crash loses seconds and adds none.

use sandbox_sdk::types::SandboxStatus;

use super::Sandboxes;
use crate::{
    clock::{month, now_ms, start_of_day},
    store::StoreError,
};

/// What was used in the month so far, in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// When the month began, and when the next one does.
    pub(crate) period: (i64, i64),
    pub(crate) compute_ms: u64,
    pub(crate) compute_ms_today: u64,
    pub(crate) running: usize,
    /// Without those that are expired.
    pub(crate) existing: usize,
    /// Of sandboxes that still exist.
    pub(crate) sessions: u64,
    pub(crate) turns: u64,
}

impl Sandboxes {
    pub(crate) async fn usage(&self) -> Result<Usage, StoreError> {
        let now = now_ms();
        let period = month(now);
        let (sessions, turns) = self.0.store.counts_since(period.0).await?;
        let found = self.list(&[]);
        let are = |is: fn(SandboxStatus) -> bool| {
            found.iter().filter(|snapshot| is(snapshot.status())).count()
        };
        Ok(Usage {
            period,
            compute_ms: self.0.store.ran(period.0, now).await?,
            compute_ms_today: self.0.store.ran(start_of_day(now), now).await?,
            running: are(|status| status == SandboxStatus::Running),
            existing: are(|status| status != SandboxStatus::Expired),
            sessions,
            turns,
        })
    }

    /// How many sandboxes may exist at once, and how many may run.
    pub(crate) fn most(&self) -> (usize, usize) {
        (self.0.config.max_sandboxes, self.0.config.max_running)
    }

    /// How many more may run right now, without any being stopped for them.
    pub(crate) fn room(&self) -> usize {
        self.0.running.available_permits()
    }

    /// A run that can't be counted is no reason not to have it.
    pub(super) async fn begin_run(&self, id: &str) -> Option<i64> {
        let begun = self.0.store.begin_run(id, now_ms()).await;
        begun.inspect_err(not_counted).ok()
    }

    pub(super) async fn end_run(&self, run: Option<i64>) {
        let Some(run) = run else { return };
        if let Err(error) = self.0.store.end_run(run, now_ms()).await {
            not_counted(&error);
        }
    }

    pub(super) async fn see_runs(&self) {
        if let Err(error) = self.0.store.see_runs(now_ms()).await {
            not_counted(&error);
        }
    }

    pub(super) async fn forget_runs(&self) {
        if let Err(error) = self.0.store.forget_runs(now_ms()).await {
            tracing::error!(%error, "what sandboxes ran long ago was not forgotten");
        }
    }
}

fn not_counted(error: &StoreError) {
    tracing::error!(error = error as &dyn std::error::Error, "a sandbox's time was not counted");
}

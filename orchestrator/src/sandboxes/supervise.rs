//! Who watches over a sandbox while it runs.

use std::sync::Arc;

use sandbox_sdk::types::SandboxStatus;
use tokio_util::sync::CancellationToken;

use super::{
    Sandboxes,
    slot::{Running, Slot},
    spawn::Started,
    stop::{Stop, StopReason},
};
use crate::driver::ExitReason;

impl Sandboxes {
    /// Gives a running sandbox to a task that owns it until its end.
    pub(super) fn supervise(&self, slot: Arc<Slot>, started: Started, run: Option<i64>) {
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

fn words(reason: ExitReason) -> String {
    match reason {
        ExitReason::MemoryLimit => "the sandbox used more memory than it may".to_owned(),
        ExitReason::Exited(Some(code)) => format!("the sandbox ended with code {code}"),
        ExitReason::Exited(None) | ExitReason::Killed => "the sandbox was killed".to_owned(),
    }
}

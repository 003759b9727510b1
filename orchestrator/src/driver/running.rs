//! A sandbox that runs.

use tokio::sync::watch;

use crate::sidecar::SidecarClient;

/// Why a sandbox is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Somebody asked for it.
    Killed,
    /// The kernel ended it for want of memory.
    MemoryLimit,
    /// The sidecar ended by itself, with this exit code if it had one.
    Exited(Option<i32>),
}

/// A live sandbox. Dropping it kills it.
pub struct RunningSandbox {
    client: SidecarClient,
    /// Begins its end, which somebody else waits for.
    end: Box<dyn Fn() + Send + Sync>,
    exit: watch::Receiver<Option<ExitReason>>,
}

impl RunningSandbox {
    /// `supervised` ends when nothing of the sandbox is left, which `end` brings about.
    pub(super) fn new(
        client: SidecarClient,
        end: impl Fn() + Send + Sync + 'static,
        supervised: impl Future<Output = ExitReason> + Send + 'static,
    ) -> Self {
        let (sender, exit) = watch::channel(None);
        tokio::spawn(async move { sender.send_replace(Some(supervised.await)) });
        Self { client, end: Box::new(end), exit }
    }

    /// The API of the sandbox's init.
    pub fn sidecar(&self) -> &SidecarClient {
        &self.client
    }

    /// Kills every process of the sandbox and waits until they are gone.
    pub async fn kill(self) {
        (self.end)();
        self.exited().await;
    }

    /// Waits until the sandbox is no more.
    pub async fn exited(&self) -> ExitReason {
        let mut exit = self.exit.clone();
        let reason = exit.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        // The supervising task is gone without a word only when the runtime shuts down.
        reason.unwrap_or(ExitReason::Killed)
    }
}

impl Drop for RunningSandbox {
    fn drop(&mut self) {
        (self.end)();
    }
}

impl std::fmt::Debug for RunningSandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RunningSandbox")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

//! What a start is made of: an image, a process, and what the sandbox begins with.

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;

use super::{SandboxError, Sandboxes, Snapshot, repository, request, slot::Slot};
use crate::{
    agents,
    driver::{DriverError, RunningSandbox, SandboxSpec},
    models::ModelSocket,
    network::{NetworkDoor, Policy},
};

/// Between two looks whether a sandbox is still wanted that is being made or filled.
const UNWANTED_PAUSE: Duration = Duration::from_millis(200);

/// A sandbox's process that nobody watches over yet, and what is its own.
pub(super) struct Started {
    pub(super) running: RunningSandbox,
    pub(super) models: ModelSocket,
    pub(super) network: NetworkDoor,
    pub(super) permit: OwnedSemaphorePermit,
    /// Secrets that were asked for and are not in its environment.
    pub(super) without: Arc<[String]>,
}

impl Sandboxes {
    /// Waits for what the sandbox is made of, as long as it is wanted.
    pub(super) async fn fetched(
        &self,
        slot: &Slot,
        snapshot: &Snapshot,
    ) -> Result<(), SandboxError> {
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

    pub(super) async fn spawn(
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
            DriverError::NoFreeUid(limit) => SandboxError::NoRoom(limit),
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
    pub(super) async fn filled(
        &self,
        slot: &Slot,
        started: Started,
    ) -> Result<Started, SandboxError> {
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
            let cloned = repository::begin(&sidecar, &snapshot.request).await;
            cloned.map_err(|error| slot.clones.failed(error))
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

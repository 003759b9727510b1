//! What a sandbox may reach, and which of its ports can be reached: as it is, and changed while it
//! runs.

use std::sync::Arc;

use sandbox_sdk::types::CreateSandbox;

use super::{NetworkAsk, SandboxError, Sandboxes, change::begin, events, slot::Slot};
use crate::{
    network::Policy,
    store::{ExposedPort, MAX_PORTS},
};

impl Sandboxes {
    /// What the sandbox may reach.
    pub(crate) fn network(&self, id: &str) -> Result<Policy, SandboxError> {
        Ok(self.policy(&self.slot(id)?.request()))
    }

    /// Changes what the sandbox may reach, at once also for what stands open. `ports` become the only
    /// ones that can be reached; those that were closed are given.
    pub(crate) async fn change_network(
        &self,
        id: &str,
        change: NetworkAsk,
    ) -> Result<Vec<i64>, SandboxError> {
        let slot = self.slot(id)?;
        if self.expire_if_over(&slot) {
            return Err(SandboxError::Expired);
        }
        let sandboxes = self.clone();
        // In a task of its own: what is written down must be what is in force.
        let changed =
            self.0.tasks.spawn(async move { sandboxes.apply_network(&slot, &change).await });
        changed.await.unwrap_or(Err(SandboxError::ShuttingDown))
    }

    async fn apply_network(
        &self,
        slot: &Arc<Slot>,
        change: &NetworkAsk,
    ) -> Result<Vec<i64>, SandboxError> {
        let (life, before) = begin(slot).await?;
        let mut request = CreateSandbox::clone(&before);
        let asked = NetworkAsk::of(&before)?.changed(change);
        // The rows say which ports are open; a restart must not open closed ones again.
        let asked = NetworkAsk { ports: None, ..asked };
        let is_asked = change.block_outbound.is_some() || change.allow_list.is_some();
        if is_asked {
            self.check_network(&asked)?;
        }
        asked.write(&mut request);
        let id = slot.snapshot().row.id;
        let is_new = is_asked && request != *before;
        if is_new {
            let policy = self.policy(&request);
            self.write_down(slot, request).await?;
            if let Some(running) = slot.running() {
                let reachable = policy != Policy::None;
                running.network.set(policy);
                // It knows no better than that programs can't be told; the proxy decides in any case.
                if let Err(error) = running.sidecar.tell_network(reachable).await {
                    tracing::warn!(sandbox = id, %error, "programs are not told of the network");
                }
            }
        }
        let closed = match &change.ports {
            Some(ports) => self.open_only(slot, ports).await?,
            None => Vec::new(),
        };
        slot.touch();
        drop(life);
        if is_new {
            self.tell(&slot.snapshot(), events::UPDATED, None).await;
        }
        Ok(closed)
    }

    /// Opens a port to the outside. One that is open stays as it is.
    pub(crate) async fn expose(&self, id: &str, port: u16) -> Result<ExposedPort, SandboxError> {
        let slot = self.slot(id)?;
        if self.expire_if_over(&slot) {
            return Err(SandboxError::Expired);
        }
        let exposed = self.0.store.expose_port(id, port).await?;
        let (exposed, is_new) = exposed.ok_or(SandboxError::TooManyPorts(MAX_PORTS))?;
        if is_new {
            self.tell_opened(&slot.snapshot(), port).await;
        }
        Ok(exposed)
    }

    /// What of its ports can be reached, by who knows the address.
    pub(crate) async fn exposed(&self, id: &str) -> Result<Vec<ExposedPort>, SandboxError> {
        self.slot(id)?;
        Ok(self.0.store.exposed_ports(id).await?)
    }

    /// Closes a port. Its key, if it was open.
    pub(crate) async fn unexpose(&self, id: &str, port: u16) -> Result<Option<i64>, SandboxError> {
        self.slot(id)?;
        Ok(self.0.store.close_port(id, port).await?)
    }

    async fn open_only(&self, slot: &Slot, ports: &[u16]) -> Result<Vec<i64>, SandboxError> {
        let snapshot = slot.snapshot();
        let id = &snapshot.row.id;
        let mut closed = Vec::new();
        for exposed in self.0.store.exposed_ports(id).await? {
            if !ports.contains(&exposed.port) {
                closed.extend(self.0.store.close_port(id, exposed.port).await?);
            }
        }
        for port in ports {
            if let Some((_, true)) = self.0.store.expose_port(id, *port).await? {
                self.tell_opened(&snapshot, *port).await;
            }
        }
        Ok(closed)
    }

    /// Opens the ports that a new sandbox was asked for with.
    pub(super) async fn open_first_ports(&self, slot: &Slot) {
        let id = slot.snapshot().row.id;
        let ports = NetworkAsk::of(&slot.request()).ok().and_then(|asked| asked.ports);
        if let Err(error) = self.open_only(slot, &ports.unwrap_or_default()).await {
            tracing::error!(sandbox = id, %error, "the ports of a new sandbox were not opened");
        }
    }

    /// Refuses more than sandboxes may have here.
    pub(super) fn check_network(&self, asked: &NetworkAsk) -> Result<(), SandboxError> {
        match asked.policy() {
            Some(policy) if !self.0.config.networks.allows(&policy) => {
                Err(SandboxError::NetworkNotAllowed)
            }
            _ => Ok(()),
        }
    }

    /// What a sandbox with this request may reach. It may have been asked for when more was allowed.
    pub(super) fn policy(&self, request: &CreateSandbox) -> Policy {
        let networks = &self.0.config.networks;
        match NetworkAsk::of(request).ok().map(|asked| asked.policy()) {
            Some(Some(policy)) if networks.allows(&policy) => policy,
            Some(None) => networks.default_policy(),
            _ => Policy::None,
        }
    }
}

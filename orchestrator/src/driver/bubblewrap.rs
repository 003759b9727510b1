//! Sandboxes of this machine's own programs, made by bubblewrap.
//!
//! A sandbox sees the host's `/usr` read-only and a few files of `/etc`.

pub(super) mod cgroup;
pub(crate) mod launch;
mod plan;
mod probe;
mod running;
mod spawner;

use std::{path::PathBuf, sync::Arc};

use futures::future::BoxFuture;

use super::{
    Driver, DriverError, DriverOptions, DriverReport, RunningSandbox, SandboxSpec, folders,
    ground::Ground, uids::Lease,
};
use crate::sidecar::SidecarConfig;
use plan::{Bind, LaunchPlan, Payload};

/// The driver: what was found on this machine, and the means to start sandboxes.
#[derive(Clone, Debug)]
pub struct Bubblewrap {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bwrap: PathBuf,
    ground: Ground,
    cgroups: cgroup::Hierarchy,
    report: DriverReport,
    spawner: spawner::Spawner,
}

impl Bubblewrap {
    /// Looks for what the driver needs and proves it by starting a throw-away sandbox, which must
    /// find itself alone: own processes, loopback only, no privileges.
    ///
    /// # Errors
    /// When sandboxes cannot be isolated here. The error says why and what to do about it.
    pub async fn probe(options: DriverOptions) -> Result<Self, DriverError> {
        Self::on(Ground::new(options)?).await
    }

    pub(super) async fn on(ground: Ground) -> Result<Self, DriverError> {
        probe::probe(ground).await.map(|shared| Self { shared: Arc::new(shared) })
    }
}

impl Driver for Bubblewrap {
    fn report(&self) -> BoxFuture<'_, Result<DriverReport, DriverError>> {
        Box::pin(async { Ok(self.shared.report.clone()) })
    }

    /// There is nothing to choose.
    fn check<'a>(&'a self, _image: Option<&'a str>) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }

    /// All of it is here.
    fn fetch<'a>(&'a self, _image: Option<&'a str>) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }

    fn start<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<RunningSandbox, DriverError>> {
        Box::pin(async move {
            spec.validate()?;
            let shared = Arc::clone(&self.shared);
            let uid = shared.ground.lease(&spec.root)?;
            folders::prepare(&spec.root, uid.as_ref().map(Lease::uid)).await?;
            let group = shared.cgroups.create(&spec.id, &spec.limits)?;
            let mut config = SidecarConfig::of(spec);
            config.watch_memory = !shared.cgroups.limits_memory();
            let plan = LaunchPlan {
                bwrap: shared.bwrap.clone(),
                sidecar_binary: shared.ground.sidecar_binary.clone(),
                parent: std::process::id(),
                uid: uid.as_ref().map(Lease::uid),
                cgroups: group.folders().to_vec(),
                payload: Payload::Serve {
                    root: spec.root.clone(),
                    agents: spec.agents.iter().map(Bind::agent).collect(),
                    tmpfs_mb: spec.limits.tmpfs_mb(),
                    config: Box::new(config),
                },
            };
            running::start(shared, &spec.root, plan, uid, group).await
        })
    }
}

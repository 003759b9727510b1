//! A container from its making to its removal.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    arguments::{DRIVER, Identity, MADE_UP, OWNER, Order},
    door::{Door, Lifeline},
    engine::{Engine, PATIENCE},
    image,
    libraries::Libraries,
};
use crate::{
    driver::{
        DriverError, DriverKind, Enforcement, ExitReason, Limits, RunningSandbox, SandboxSpec,
        bubblewrap::cgroup, folders, uids::Lease,
    },
    sidecar::{Findings, Kernel, SidecarClient, SidecarConfig, calls::KEY_LENGTH},
};

/// An engine that is busy, or a runtime that is slow.
const RUN_PATIENCE: Duration = Duration::from_secs(120);
/// From the container's start until its sidecar answers.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// What starts at all has called by then: only after it the engine is asked whether it has ended.
const CALL_GRACE: Duration = Duration::from_secs(1);
/// Between its sidecar's end and the engine's word for it.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// Before another try to remove a container.
const REMOVAL_PAUSE: Duration = Duration::from_secs(2);
/// After so long it is left to the orchestrator's next life.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(180);

pub(super) async fn start(
    shared: &Arc<Shared>,
    spec: &SandboxSpec,
) -> Result<RunningSandbox, DriverError> {
    let facts = shared.facts().await?;
    let name = spec.image.as_deref().ok_or(DriverError::NoImageNamed)?;
    let image = image::find(&shared.engine, name).await?;
    let image = image.ok_or_else(|| shared.engine.no_image(name))?;
    let volumes = image.volumes()?;
    let libraries = || Libraries::of(&shared.ground.sidecar_binary);
    let libraries = shared.libraries.get_or_try_init(libraries).await?;
    let uid = shared.ground.lease(&spec.root)?;
    let leased = uid.as_ref().map(Lease::uid);
    folders::prepare(&spec.root, leased).await?;
    let identity = Identity::of(leased, shared.engine.is_podman(), facts.is_rootless);
    make_up(&spec.root, identity).map_err(DriverError::io("the sandbox's user"))?;
    let key = new_key()?;
    let mut door =
        Door::open(&spec.root, &key).map_err(DriverError::io("the container's socket"))?;

    let container = Container::new(&shared.engine, &spec.id, uid);
    let order = Order {
        name: &container.name,
        spec,
        image: &image,
        volumes: &volumes,
        identity,
        facts: &facts,
        libraries,
    };
    let arguments = order.arguments(shared);
    let id = match shared.engine.call_with_key(&arguments, &key, RUN_PATIENCE).await {
        Ok(id) => id,
        Err(error) => {
            // It may be there all the same.
            container.remove().await;
            return Err(error);
        }
    };
    let mut config = SidecarConfig::of(spec);
    config.watch_memory = facts.memory.is_none();
    // Only for want of something better: somebody else on this machine may have the same uid.
    config.has_own_users = facts.processes.is_none() && leased.is_some();
    let kernel = match shared.kind {
        DriverKind::Gvisor => Kernel::Own,
        _ => Kernel::Shared,
    };
    let ready = timeout(START_PATIENCE, ready(&container, &mut door, &config, kernel)).await;
    let (lifeline, client) = match ready {
        Ok(Ok(ready)) => ready,
        Ok(Err(error)) => {
            container.remove().await;
            return Err(error);
        }
        Err(_) => {
            let said = container.said().await;
            container.remove().await;
            return Err(DriverError::Start(format!("it took too long. {said}")));
        }
    };
    // gVisor's sockets are its own, and so is the memory that they hold.
    if facts.memory == Some(Enforcement::CgroupV1) && shared.kind != DriverKind::Gvisor {
        bound_sockets(&container, &id, &spec.limits).await;
    }
    let ending = CancellationToken::new();
    let supervised = supervise(container, door, lifeline, ending.clone());
    Ok(RunningSandbox::new(client, move || ending.cancel(), supervised))
}

/// Until the sidecar serves, in a container that is what it should be.
async fn ready(
    container: &Container,
    door: &mut Door,
    config: &SidecarConfig,
    kernel: Kernel,
) -> Result<(Lifeline, SidecarClient), DriverError> {
    let ended = async {
        sleep(CALL_GRACE).await;
        container.wait(START_PATIENCE).await
    };
    let cannot = || DriverError::io("the container's sidecar does not answer");
    let mut lifeline = tokio::select! {
        called = door.lifeline() => called.map_err(cannot())?,
        _ = ended => {
            return Err(DriverError::Start(format!("it ended at once. {}", container.said().await)));
        }
    };
    let words = serde_json::to_vec(config);
    let words = words.map_err(|error| DriverError::InvalidSpec(error.to_string()))?;
    let heard = async {
        lifeline.tell(&words).await?;
        lifeline.hear().await
    };
    let Ok(findings) = heard.await else {
        return Err(DriverError::Start(format!("it ended at once. {}", container.said().await)));
    };
    let findings: Findings = serde_json::from_slice(&findings)
        .map_err(|error| DriverError::Start(format!("it makes no sense: {error}")))?;
    findings.verdict(kernel).map_err(DriverError::NotIsolated)?;
    let client = SidecarClient::called(door.calls());
    client.health().await.map_err(|error| DriverError::Start(error.to_string()))?;
    Ok((lifeline, client))
}

/// Version 1 counts what sockets hold apart from memory, and no engine has a setting for that. Done before
/// anything of the sandbox's runs; only root can do it.
async fn bound_sockets(container: &Container, id: &str, limits: &Limits) {
    let question = ["inspect", "--format", "{{.State.Pid}}", &container.name];
    let pid = container.engine.call(&question, PATIENCE).await;
    let Some(pid) = pid.ok().and_then(|pid| pid.parse().ok()) else { return };
    if let Err(error) = cgroup::bound_sockets_of(pid, id, limits) {
        tracing::debug!(container = container.name, %error, "what its sockets hold is not bounded");
    }
}

/// Waits for its end, asked for or not, and removes what is left.
async fn supervise(
    container: Container,
    door: Door,
    mut lifeline: Lifeline,
    ending: CancellationToken,
) -> ExitReason {
    let reason = tokio::select! {
        () = ending.cancelled() => ExitReason::Killed,
        () = lifeline.broken() => container.why_ended().await,
    };
    // Without them its sidecar ends by itself, also where the engine has stopped working.
    drop((door, lifeline));
    container.remove().await;
    reason
}

/// A container of ours. Dropping it removes it.
#[derive(Debug)]
struct Container {
    engine: Engine,
    name: String,
    /// Given back when nothing runs by it any more.
    uid: Option<Lease>,
    is_removed: bool,
}

impl Container {
    /// Each life of a sandbox has a container of its own: the last one may still be there.
    fn new(engine: &Engine, id: &str, uid: Option<Lease>) -> Self {
        let life = uuid::Uuid::now_v7().simple().to_string();
        let life = life.get(20..).unwrap_or(&life);
        let name = format!("skein-{id}-{life}");
        Self { engine: engine.clone(), name, uid, is_removed: false }
    }

    /// Until it has ended. Its exit code.
    async fn wait(&self, patience: Duration) -> Option<i32> {
        let code = self.engine.call(&["wait", &self.name], patience).await.ok()?;
        code.parse().ok()
    }

    async fn why_ended(&self) -> ExitReason {
        let code = self.wait(END_PATIENCE).await;
        let question = ["inspect", "--format", "{{.State.OOMKilled}}", &self.name];
        let answer = self.engine.call(&question, PATIENCE).await;
        if answer.is_ok_and(|answer| answer == "true") {
            ExitReason::MemoryLimit
        } else {
            ExitReason::Exited(code)
        }
    }

    /// What it printed last, on standard error.
    async fn said(&self) -> String {
        let question = ["logs", "--tail", "20", &self.name];
        self.engine.call_for_errors(&question).await.unwrap_or_default()
    }

    async fn remove(mut self) {
        self.is_removed = true;
        remove(&self.engine, &self.name, self.uid.take()).await;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Whoever waited for its start does no longer.
        if !self.is_removed
            && let Ok(runtime) = Handle::try_current()
        {
            let (engine, name) = (self.engine.clone(), std::mem::take(&mut self.name));
            let uid = self.uid.take();
            runtime.spawn(async move { remove(&engine, &name, uid).await });
        }
    }
}

/// Kills and removes it, with what it left, and gives its uid back.
async fn remove(engine: &Engine, name: &str, uid: Option<Lease>) {
    let mut arguments = vec!["rm", "--force", "--volumes", name];
    if engine.is_podman() {
        // It would first ask it to end, and wait. Docker does not.
        arguments.extend(["--time", "0"]);
    }
    let removal = async {
        loop {
            match engine.call(&arguments, RUN_PATIENCE).await {
                Ok(_) => return,
                Err(DriverError::Engine { said, .. }) if is_unknown(&said) => return,
                Err(error) => tracing::warn!(container = name, %error, "container not removed yet"),
            }
            sleep(REMOVAL_PAUSE).await;
        }
    };
    if timeout(REMOVAL_PATIENCE, removal).await.is_err() {
        tracing::error!(container = name, "the container may still be there");
        // No other sandbox shall be the same user.
        std::mem::forget(uid);
    }
}

fn is_unknown(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("no such container") || said.contains("no container with")
}

/// Removes what a former life of the orchestrator left: it was killed before it could.
pub(super) async fn remove_left(
    engine: &Engine,
    owner: &str,
    kind: DriverKind,
) -> Result<(), DriverError> {
    let (owner, driver) =
        (format!("label={OWNER}={owner}"), format!("label={DRIVER}={}", kind.name()));
    let question =
        ["ps", "--all", "--quiet", "--no-trunc", "--filter", &owner, "--filter", &driver];
    for left in engine.call(&question, PATIENCE).await?.lines() {
        tracing::info!(container = left, "container of a former life is removed");
        remove(engine, left, None).await;
    }
    Ok(())
}

/// Gives the sandbox's user a name inside, and the image no say in what is loaded.
fn make_up(root: &Path, identity: Identity) -> std::io::Result<()> {
    let Identity { uid, gid, .. } = identity;
    let root_user = if uid == 0 { "" } else { "root:x:0:0:root:/:/bin/false\n" };
    let root_group = if gid == 0 { "" } else { "root:x:0:\n" };
    let passwd = format!(
        "{root_user}agent:x:{uid}:{gid}:Agent:/home/agent:/bin/sh\n\
         nobody:x:65534:65534:nobody:/:/bin/false\n"
    );
    let group = format!("{root_group}agent:x:{gid}:\nnogroup:x:65534:\n");
    for ((name, _), text) in MADE_UP.into_iter().zip([passwd, group, String::new()]) {
        let path = root.join(folders::RUN).join(name);
        fs::write(&path, text)?;
        // Whatever this process's own mask is: it is read inside.
        fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn new_key() -> Result<String, DriverError> {
    let mut bytes = [0; KEY_LENGTH / 2];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| DriverError::Start("there are no random bytes".to_owned()))?;
    Ok(hex::encode(bytes))
}

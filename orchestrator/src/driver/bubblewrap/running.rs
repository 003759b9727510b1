//! A sandbox's processes: from the launcher's start to the last of them.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{DriverError, Lease, RunningSandbox, Shared, cgroup::Group, folders, plan::LaunchPlan};
use crate::{
    driver::ExitReason,
    sidecar::{self, SidecarClient},
};

/// From the launcher's start until the sidecar answers.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How often, and after which pauses, to look whether the init is gone.
const END_CHECKS: u32 = 100;
const END_PAUSE: Duration = Duration::from_millis(10);
/// Enough of what a failed start printed.
const STDERR_KEPT: u64 = 8 * 1024;

pub(super) async fn start(
    shared: Arc<Shared>,
    root: &Path,
    plan: LaunchPlan,
    uid: Option<Lease>,
    group: Group,
) -> Result<RunningSandbox, DriverError> {
    let mut launched = Launched::start(&shared, &plan).await?;
    let ready = timeout(START_PATIENCE, ready(&mut launched, root)).await;
    let (init, client) = match ready {
        Ok(Ok(ready)) => ready,
        Ok(Err(problem)) => {
            let said = launched.abandon().await;
            return Err(if said.is_empty() { problem } else { DriverError::from_output(&said) });
        }
        Err(_) => {
            let said = launched.abandon().await;
            return Err(DriverError::Start(format!("it took too long. {said}")));
        }
    };
    let init = Arc::new(init);
    let asked = Arc::new(AtomicBool::new(false));
    let supervised = supervise(launched, Arc::clone(&init), group, Arc::clone(&asked));
    let end = move || {
        asked.store(true, Ordering::Release);
        // The death of its init takes the whole process namespace with it.
        rustix::process::pidfd_send_signal(&*init, Signal::KILL).ok();
    };
    let supervised = async move {
        let reason = supervised.await;
        drop(uid);
        reason
    };
    // Held as well: without the spawner's thread the sandbox dies.
    Ok(RunningSandbox::new(
        client,
        move || {
            let _spawner = &shared;
            end()
        },
        supervised,
    ))
}

async fn ready(
    launched: &mut Launched,
    root: &Path,
) -> Result<(OwnedFd, SidecarClient), DriverError> {
    let pid = launched.init_pid().await?;
    let init = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)
        .map_err(|error| DriverError::Start(format!("its init is gone already: {error}")))?;
    let flags = i32::try_from(rustix::fs::OFlags::PATH.bits()).unwrap_or_default();
    let run = fs::OpenOptions::new().read(true).custom_flags(flags).open(root.join(folders::RUN));
    let run = run.map_err(DriverError::io("the sandbox's run folder cannot be opened"))?;
    let client = SidecarClient::new(run.into());
    tokio::select! {
        health = client.health() => {
            health.map_err(|error| DriverError::Start(error.to_string()))?;
        }
        _ = launched.child.wait() => {
            return Err(DriverError::Start("it ended at once".into()));
        }
    }
    Ok((init, client))
}

/// Waits for the end of everything, then frees what the sandbox held.
async fn supervise(
    mut launched: Launched,
    init: Arc<OwnedFd>,
    group: Group,
    asked: Arc<AtomicBool>,
) -> ExitReason {
    let reading = tokio::spawn(async move {
        // Also the sandbox's lifeline: the sidecar ends when nobody holds the other end any more.
        while let Ok(Some(_)) = launched.stdout.next_line().await {}
    });
    let status = launched.child.wait().await;
    // When bubblewrap was killed from outside, the sandbox's init follows a moment later.
    for _ in 0..END_CHECKS {
        if rustix::process::pidfd_send_signal(&*init, Signal::KILL).is_err() {
            break;
        }
        sleep(END_PAUSE).await;
    }
    reading.abort();
    launched.stderr.abort();
    let out_of_memory = group.ran_out_of_memory();
    drop(group);
    if asked.load(Ordering::Acquire) {
        ExitReason::Killed
    } else if out_of_memory {
        ExitReason::MemoryLimit
    } else {
        ExitReason::Exited(status.ok().as_ref().and_then(ExitStatus::code))
    }
}

/// A started launcher.
pub(super) struct Launched {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Collects the beginning of what is printed to standard error.
    stderr: JoinHandle<String>,
}

impl Launched {
    pub(super) async fn start(shared: &Shared, plan: &LaunchPlan) -> Result<Self, DriverError> {
        let mut command = Command::new(&shared.ground.sidecar_binary);
        command.args([sidecar::ARGUMENT, sidecar::Role::Launch.as_str()]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        let cannot = || DriverError::io("the sandbox's launcher cannot be started");
        let mut child = shared.spawner.spawn(command).await.map_err(cannot())?;
        let missing = || std::io::Error::other("no pipe");
        let stdout = child.stdout.take().ok_or_else(missing).map_err(cannot())?;
        let stderr = child.stderr.take().ok_or_else(missing).map_err(cannot())?;
        let mut stdin = child.stdin.take().ok_or_else(missing).map_err(cannot())?;
        let plan = serde_json::to_vec(plan)
            .map_err(|error| DriverError::InvalidSpec(error.to_string()))?;
        // A launcher that ended early has told why on standard error.
        stdin.write_all(&plan).await.ok();
        drop(stdin);
        let stderr = tokio::spawn(async move {
            let (mut text, mut stderr) = (Vec::new(), BufReader::new(stderr));
            (&mut stderr).take(STDERR_KEPT).read_to_end(&mut text).await.ok();
            tokio::io::copy_buf(&mut stderr, &mut tokio::io::sink()).await.ok();
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        Ok(Self { child, stdout: BufReader::new(stdout).lines(), stderr })
    }

    /// The host's process id of the sandbox's init, which bubblewrap tells first.
    async fn init_pid(&mut self) -> Result<Pid, DriverError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Status {
            child_pid: i32,
        }
        while let Ok(Some(line)) = self.stdout.next_line().await {
            let status = serde_json::from_str::<Status>(&line).ok();
            if let Some(pid) = status.and_then(|status| Pid::from_raw(status.child_pid)) {
                return Ok(pid);
            }
        }
        Err(DriverError::Start("bubblewrap ended at once".into()))
    }

    /// Reads all it prints until it ends: lines of standard output, and standard error.
    pub(super) async fn finish(mut self) -> (Vec<String>, String) {
        let mut lines = Vec::new();
        while let Ok(Some(line)) = self.stdout.next_line().await {
            lines.push(line);
        }
        self.child.wait().await.ok();
        (lines, self.stderr.await.unwrap_or_default())
    }

    /// Ends it, and hands over what it complained of.
    async fn abandon(mut self) -> String {
        self.child.kill().await.ok();
        timeout(Duration::from_secs(1), self.stderr)
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default()
    }
}

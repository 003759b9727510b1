//! The launcher: a short-lived process between the orchestrator and bubblewrap, the same binary.
//!
//! It does what must be done in the child but cannot be done safely between `fork` and `exec` of a
//! threaded program: closes what it inherited, joins the control groups, makes the sandbox's folders
//! reachable for an unprivileged uid without opening the data folder to anybody, and becomes bubblewrap.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs,
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixListener, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    io::FdFlags,
    mount::{MountFlags, MountPropagationFlags},
    process::Signal,
};

use super::{
    folders,
    plan::{self, Bind, Handed, LaunchPlan, Payload, Sources},
};
use crate::{driver::seccomp, memory_file::memory_file, sidecar};

/// Name of the socket in the sandbox's run folder on the host.
pub(crate) const SOCKET: &str = "sidecar.sock";

/// Staging ground, private to the launcher's own mount namespace. `/tmp` exists everywhere.
const STAGE: &str = "/tmp";

/// Becomes the sandbox described on standard input. Returns only the reason why it could not.
pub(crate) fn run() -> String {
    match launch() {
        Ok(never) => match never {},
        Err(reason) => reason,
    }
}

fn launch() -> Result<Infallible, String> {
    close_inherited();
    let mut text = String::new();
    tell("the launch plan cannot be read", io::stdin().read_to_string(&mut text))?;
    let plan: LaunchPlan =
        tell("the launch plan is not valid", serde_json::from_str(&text).map_err(io::Error::from))?;
    die_with_parent(plan.parent)?;
    for group in &plan.cgroups {
        // 0 stands for the process that writes.
        tell("joining the control group", fs::write(group.join("cgroup.procs"), "0"))?;
    }
    let listener = match &plan.payload {
        Payload::Serve { root, .. } => Some(tell("the sidecar's socket", listen(root))?),
        Payload::Probe => None,
    };
    let sources = match plan.uid {
        Some(_) => stage(&plan)?,
        None => Sources::direct(&plan),
    };
    let config = match &plan.payload {
        Payload::Serve { config, .. } => Some(&**config),
        Payload::Probe => None,
    };
    become_bwrap(&plan, &sources, config, listener)
}

fn become_bwrap(
    plan: &LaunchPlan,
    sources: &Sources,
    config: Option<&sidecar::SidecarConfig>,
    listener: Option<UnixListener>,
) -> Result<Infallible, String> {
    let status = tell("the status pipe", rustix::io::dup(io::stdout()).map_err(Into::into))?;
    let filter = tell("the system call filter", seccomp::deny_list())?;
    let seccomp = tell("the system call filter", handed_on(&filter))?;
    let mut files = Vec::new();
    for (content, path) in plan::made_up_files(config) {
        files.push((tell(path, handed_on(&content))?, path));
    }
    let handed = Handed {
        status: status.as_raw_fd(),
        seccomp: seccomp.as_raw_fd(),
        files: files.iter().map(|(fd, path)| (fd.as_raw_fd(), *path)).collect(),
    };
    // Through a file: arguments can be read by every user of the machine.
    let mut arguments = Vec::new();
    for argument in plan::bwrap_arguments(&plan.payload, sources, &handed) {
        arguments.extend_from_slice(argument.as_encoded_bytes());
        arguments.push(0);
    }
    let arguments = tell("the arguments", handed_on(&arguments))?;

    let role = match plan.payload {
        Payload::Serve { .. } => sidecar::Role::Serve,
        Payload::Probe => sidecar::Role::Probe,
    };
    let mut command = Command::new(&plan.bwrap);
    command.env_clear().current_dir("/");
    command.arg("--args").arg(arguments.as_raw_fd().to_string());
    command.args([sidecar::BINARY_PATH, sidecar::ARGUMENT, role.as_str()].map(OsString::from));
    command.stdin(listener.map_or_else(Stdio::null, |listener| OwnedFd::from(listener).into()));
    if let Some(uid) = plan.uid {
        command.uid(uid).gid(uid);
    }
    Err(format!("{} cannot be started: {}", plan.bwrap.display(), command.exec()))
}

/// Whatever the orchestrator inherited from its own parent must not reach a sandbox.
fn close_inherited() {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The one that listed the folder is closed already.
        nix::unistd::close(fd).ok();
    }
}

fn die_with_parent(parent: u32) -> Result<(), String> {
    let set = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    tell("tying the sandbox to the orchestrator", set.map_err(Into::into))?;
    // It may have ended before the call.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent) { Ok(()) } else { Err("the orchestrator has ended".into()) }
}

/// Listens in the sandbox's run folder. The sandbox gets the open socket and never the folder, so
/// nothing inside can take the sidecar's place.
fn listen(root: &Path) -> io::Result<UnixListener> {
    let folder = open_path(&root.join(folders::RUN))?;
    // Through the descriptor, because a socket's path has room for 107 bytes only.
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// As root: binds what the sandbox needs to a place that its uid can reach, in a mount namespace of
/// the launcher's own. Neither the host nor other sandboxes see it, and it goes with the sandbox.
fn stage(plan: &LaunchPlan) -> Result<Sources, String> {
    let direct = Sources::direct(plan);
    let stage = Path::new(STAGE);
    let agents = direct.agents.iter().enumerate();
    let staged = Sources {
        sidecar: stage.join("sidecar"),
        workspace: stage.join(folders::WORKSPACE),
        home: stage.join(folders::HOME),
        models: direct.models.as_ref().map(|_| stage.join("models")),
        network: direct.network.as_ref().map(|_| stage.join("network")),
        agents: agents
            .map(|(number, agent)| Bind {
                source: stage.join(format!("agent-{number}")),
                target: agent.target.clone(),
            })
            .collect(),
    };
    let mut pairs = vec![(&direct.sidecar, &staged.sidecar)];
    if let Payload::Serve { .. } = plan.payload {
        pairs.extend([(&direct.workspace, &staged.workspace), (&direct.home, &staged.home)]);
        pairs.extend(direct.models.iter().zip(&staged.models));
        pairs.extend(direct.network.iter().zip(&staged.network));
        let agents = direct.agents.iter().zip(&staged.agents);
        pairs.extend(agents.map(|(from, to)| (&from.source, &to.source)));
    }
    let unshare = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS);
    tell("own mount namespace", unshare.map_err(Into::into))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    let change = rustix::mount::mount_change("/", private);
    tell("own mount namespace", change.map_err(Into::into))?;
    // Opened before it is covered: the sandbox's folder may itself be below the staging ground. And
    // after the namespace was made: what another namespace has mounted cannot be bound.
    let mut opened = Vec::new();
    for (source, target) in pairs {
        opened.push((tell(&source.display().to_string(), open_path(source))?, target));
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let tmpfs = rustix::mount::mount("tmpfs", STAGE, "tmpfs", flags, c"mode=0755,size=64k");
    tell("the staging ground", tmpfs.map_err(Into::into))?;
    for (source, target) in opened {
        tell("the staging ground", bind(&source, target))?;
    }
    Ok(staged)
}

fn bind(source: &OwnedFd, target: &Path) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", source.as_raw_fd());
    if fs::metadata(&path)?.is_dir() {
        fs::create_dir(target)?
    } else {
        fs::write(target, "")?
    }
    Ok(rustix::mount::mount_bind(path, target)?)
}

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    Ok(fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?.into())
}

/// A file of its own content that stays open over `exec`.
fn handed_on(content: &[u8]) -> io::Result<fs::File> {
    let file = memory_file(content)?;
    rustix::io::fcntl_setfd(&file, FdFlags::empty())?;
    Ok(file)
}

fn tell<T>(what: &str, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

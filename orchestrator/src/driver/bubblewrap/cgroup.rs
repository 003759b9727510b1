//! Control groups, where this process may make them: version 2 where a parent group is delegated,
//! version 1 as root. Without either, the sidecar's watchdog and resource limits do the work.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::driver::{DriverError, Enforcement, Limits};

/// Where groups for sandboxes can be made.
#[derive(Clone, Debug, Default)]
pub(super) struct Hierarchy {
    /// Parent folders in the control group file systems; one in version 2, one for each controller
    /// in version 1.
    parents: Vec<(Controller, PathBuf)>,
    v2: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Memory,
    Pids,
    Cpu,
    /// All of them, in version 2.
    Unified {
        cpu: bool,
    },
}

/// The groups of one sandbox, removed when dropped.
#[derive(Debug, Default)]
pub(super) struct Group {
    folders: Vec<PathBuf>,
}

/// Length of the period in which a share of the processor is counted, in microseconds.
const CPU_PERIOD: f64 = 100_000.0;
/// What version 1 lets the buffers of TCP and UDP take, beside the memory: it counts them apart.
const MAX_SOCKET_BYTES: u64 = 64 << 20;
/// Characters of a container's id. A shorter one could stand in any path.
const LEAST_ID: usize = 12;
const REMOVAL_ATTEMPTS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

impl Hierarchy {
    /// Finds out by doing: makes a group with limits, and removes it.
    pub(super) fn detect() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (mounts, own) = (read("/proc/self/mounts"), read("/proc/self/cgroup"));
        let found = [unified(&mounts, &own), separate(&mounts, &own)];
        found
            .into_iter()
            .find(|candidate| {
                !candidate.parents.is_empty()
                    && candidate.create("probe", &Limits::default()).is_ok()
            })
            .unwrap_or_default()
    }

    fn has(&self, controller: Controller) -> Option<Enforcement> {
        let found = self.parents.iter().any(|(known, _)| match known {
            Controller::Unified { cpu } => *cpu || controller != Controller::Cpu,
            known => *known == controller,
        });
        let version = if self.v2 { Enforcement::CgroupV2 } else { Enforcement::CgroupV1 };
        found.then_some(version)
    }

    pub(super) fn limits_memory(&self) -> bool {
        self.has(Controller::Memory).is_some()
    }

    pub(super) fn memory(&self) -> Enforcement {
        self.has(Controller::Memory).unwrap_or(Enforcement::Watchdog)
    }

    pub(super) fn processes(&self) -> Enforcement {
        self.has(Controller::Pids).unwrap_or(Enforcement::Rlimit)
    }

    pub(super) fn cpu(&self) -> Enforcement {
        self.has(Controller::Cpu).unwrap_or(Enforcement::Nice)
    }

    /// Makes the groups of a sandbox. Groups left behind by a process that was killed are removed.
    pub(super) fn create(&self, id: &str, limits: &Limits) -> Result<Group, DriverError> {
        // A sandbox may start again before the groups of its last life are gone.
        static LIFE: AtomicU64 = AtomicU64::new(0);
        let life = LIFE.fetch_add(1, Ordering::Relaxed);
        let name = format!("skein-{}-{life}-{id}", std::process::id());
        let mut group = Group::default();
        for (controller, parent) in &self.parents {
            let folder = parent.join(&name);
            remove_stale(parent);
            fs::create_dir(&folder).map_err(DriverError::io("a control group cannot be made"))?;
            group.folders.push(folder.clone());
            set(*controller, &folder, limits)
                .map_err(DriverError::io("a control group cannot be limited"))?;
        }
        Ok(group)
    }
}

impl Group {
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Whether the kernel has killed a process in the group for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let counted = |folder: &PathBuf, name| {
            let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
            text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|n| n.trim() != "0"))
        };
        let files = ["memory.events", "memory.oom_control"];
        self.folders.iter().any(|folder| files.iter().any(|name| counted(folder, name)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Refused while a process that was killed is not quite gone. Waiting is for the rare case
            // that nobody waited for the sandbox's end; what is left after it is removed as stale.
            for _ in 0..REMOVAL_ATTEMPTS {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(REMOVAL_PAUSE);
                    }
                    _ => break,
                }
            }
        }
    }
}

fn set(controller: Controller, folder: &Path, limits: &Limits) -> io::Result<()> {
    let bytes = (limits.memory_mb << 20).to_string();
    let processes = limits.processes.to_string();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "validated")]
    let quota = (limits.cpu_cores * CPU_PERIOD) as u64;
    let write = |name: &str, value: &str| fs::write(folder.join(name), value);
    match controller {
        Controller::Memory => {
            write("memory.limit_in_bytes", &bytes)?;
            // Only there when the kernel counts swap.
            write("memory.memsw.limit_in_bytes", &bytes).ok();
            // And this, when it counts what sockets hold.
            bound_sockets(folder, limits).ok();
            Ok(())
        }
        Controller::Pids => write("pids.max", &processes),
        Controller::Cpu => {
            write("cpu.cfs_period_us", "100000")?;
            write("cpu.cfs_quota_us", &quota.to_string())
        }
        Controller::Unified { cpu } => {
            write("memory.max", &bytes)?;
            write("memory.swap.max", "0").ok();
            write("pids.max", &processes)?;
            if cpu { write("cpu.max", &format!("{quota} 100000")) } else { Ok(()) }
        }
    }
}

fn bound_sockets(folder: &Path, limits: &Limits) -> io::Result<()> {
    let bytes = MAX_SOCKET_BYTES.min(limits.memory_mb << 20);
    fs::write(folder.join("memory.kmem.tcp.limit_in_bytes"), bytes.to_string())
}

/// Version 1: does it to a group that somebody else has made, for the container of this id and with this
/// process in it. A group whose path does not name the container is left alone: the number may be one of
/// other processes than ours.
pub(in crate::driver) fn bound_sockets_of(pid: u32, id: &str, limits: &Limits) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let folder = group_of(&mounts, &groups, id);
    bound_sockets(&folder.ok_or_else(|| io::Error::other("its group is not here"))?, limits)
}

fn group_of(mounts: &str, groups: &str, id: &str) -> Option<PathBuf> {
    let (mount, path) = place(mounts, groups, "memory")?;
    (id.len() >= LEAST_ID && path.contains(id)).then(|| mount.join(path))
}

/// Version 2: the nearest group above our own that hands its controllers down. Ours holds processes
/// and can therefore have no limited groups below it.
fn unified(mounts: &str, own: &str) -> Hierarchy {
    let mount = mount_points(mounts, "cgroup2").next();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let (Some((mount, _)), Some(own)) = (mount, own) else { return Hierarchy::default() };
    let own = mount.join(own);
    let parent =
        own.ancestors().take_while(|folder| folder.starts_with(&mount)).find_map(|folder| {
            let text = fs::read_to_string(folder.join("cgroup.subtree_control")).ok()?;
            let has = |name| text.split_whitespace().any(|controller| controller == name);
            let cpu = has("cpu");
            (has("memory") && has("pids"))
                .then(|| (Controller::Unified { cpu }, folder.to_path_buf()))
        });
    Hierarchy { parents: parent.into_iter().collect(), v2: true }
}

/// Version 1: below our own group of each controller.
fn separate(mounts: &str, own: &str) -> Hierarchy {
    let named =
        [(Controller::Memory, "memory"), (Controller::Pids, "pids"), (Controller::Cpu, "cpu")];
    let parents = named.into_iter().filter_map(|(controller, name)| {
        let (mount, own) = place(mounts, own, name)?;
        // In a container the path may name the host's view, which is not mounted here.
        let below = mount.join(own);
        Some((controller, if below.is_dir() { below } else { mount }))
    });
    let parents: Vec<_> = parents.collect();
    // Without these two there is nothing that the watchdog and resource limits cannot do.
    let useful = |wanted| parents.iter().any(|(controller, _)| *controller == wanted);
    let complete = useful(Controller::Memory) && useful(Controller::Pids);
    Hierarchy { parents: if complete { parents } else { Vec::new() }, v2: false }
}

/// Version 1: where a controller is mounted, and the path below it of a process's group.
fn place(mounts: &str, groups: &str, controller: &str) -> Option<(PathBuf, String)> {
    let holds = |list: &str| list.split(',').any(|part| part == controller);
    let (mount, _) = mount_points(mounts, "cgroup").find(|(_, options)| holds(options))?;
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        holds(controllers).then(|| path.trim_start_matches('/').to_owned())
    })?;
    Some((mount, path))
}

/// Mount points of a file system type, with their options.
fn mount_points<'a>(mounts: &'a str, kind: &str) -> impl Iterator<Item = (PathBuf, &'a str)> {
    mounts.lines().filter_map(move |line| {
        let mut fields = line.split(' ').skip(1);
        let (path, found, options) = (fields.next()?, fields.next()?, fields.next()?);
        (found == kind).then(|| (PathBuf::from(path), options))
    })
}

fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix("skein-")?.split('-').next());
        let dead = owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if dead {
            // Refused while processes are in it.
            fs::remove_dir(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with_controllers(controllers: &str) -> tempfile::TempDir {
        let mount = tempfile::tempdir().unwrap();
        let slice = mount.path().join("user.slice/app.slice");
        fs::create_dir_all(slice.join("terminal.scope")).unwrap();
        fs::write(slice.join("cgroup.subtree_control"), controllers).unwrap();
        fs::write(slice.join("terminal.scope/cgroup.subtree_control"), "").unwrap();
        mount
    }

    #[test]
    fn version_two_groups_are_made_beside_the_own_group_where_controllers_are_handed_down() {
        let mount = folder_with_controllers("cpu memory pids\n");
        let mounts = format!("cgroup2 {} cgroup2 rw 0 0\n", mount.path().display());
        let found = unified(&mounts, "0::/user.slice/app.slice/terminal.scope\n");
        assert_eq!(found.memory(), Enforcement::CgroupV2);
        assert_eq!(found.cpu(), Enforcement::CgroupV2);

        let group = found.create("a", &Limits::default()).unwrap();
        let folder = group.folders()[0].clone();
        assert_eq!(folder.parent(), Some(mount.path().join("user.slice/app.slice").as_path()));
        assert_eq!(fs::read_to_string(folder.join("memory.max")).unwrap(), "2147483648");
        assert_eq!(fs::read_to_string(folder.join("pids.max")).unwrap(), "256");
        assert_eq!(fs::read_to_string(folder.join("cpu.max")).unwrap(), "200000 100000");
    }

    #[test]
    fn version_two_without_delegation_leaves_memory_to_the_watchdog() {
        let mount = folder_with_controllers("hugetlb\n");
        let mounts = format!("cgroup2 {} cgroup2 rw 0 0\n", mount.path().display());
        let found = unified(&mounts, "0::/user.slice/app.slice/terminal.scope\n");
        assert_eq!(found.memory(), Enforcement::Watchdog);
        assert_eq!(found.processes(), Enforcement::Rlimit);
        assert_eq!(found.cpu(), Enforcement::Nice);
    }

    #[test]
    fn version_one_is_used_only_when_memory_and_processes_can_both_be_limited() {
        let mount = tempfile::tempdir().unwrap();
        let line =
            |name: &str| format!("cgroup {}/{name} cgroup rw,{name} 0 0\n", mount.path().display());
        let own = "2:memory:/own\n3:pids:/\n4:cpu,cpuacct:/\n";
        let all = [line("memory"), line("pids"), line("cpu")].concat();
        assert_eq!(separate(&all, own).memory(), Enforcement::CgroupV1);
        assert_eq!(separate(&line("memory"), own).memory(), Enforcement::Watchdog);
    }

    #[test]
    fn version_one_bounds_the_buffers_of_sockets_too() {
        let folder = tempfile::tempdir().unwrap();
        for (memory_mb, expected) in [(2048, "67108864"), (32, "33554432")] {
            let limits = Limits { memory_mb, ..Limits::default() };
            set(Controller::Memory, folder.path(), &limits).unwrap();
            let written = folder.path().join("memory.kmem.tcp.limit_in_bytes");
            assert_eq!(fs::read_to_string(written).unwrap(), expected);
        }
    }

    #[test]
    fn a_containers_group_is_found_by_a_path_that_names_it() {
        let mounts = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        let groups = "3:pids:/docker/0123456789abcdef\n4:memory:/docker/0123456789abcdef\n";
        let found = group_of(mounts, groups, "0123456789abcdef").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/memory/docker/0123456789abcdef"));
        assert_eq!(group_of(mounts, groups, "fedcba9876543210"), None);
        assert_eq!(group_of(mounts, groups, ""), None);
        assert_eq!(group_of("", groups, "0123456789abcdef"), None);
    }

    #[test]
    fn a_kill_for_want_of_memory_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group { folders: vec![folder.path().to_path_buf()] };
        fs::write(folder.path().join("memory.events"), "low 0\noom_kill 0\n").unwrap();
        assert!(!group.ran_out_of_memory());
        fs::write(folder.path().join("memory.events"), "low 0\noom_kill 2\n").unwrap();
        assert!(group.ran_out_of_memory());
    }
}

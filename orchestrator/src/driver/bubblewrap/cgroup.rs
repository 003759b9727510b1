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
        let holds = |list: &str| list.split(',').any(|part| part == name);
        let (mount, _) = mount_points(mounts, "cgroup").find(|(_, options)| holds(options))?;
        let own = own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            holds(controllers).then(|| path.trim_start_matches('/').to_owned())
        })?;
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
    fn a_kill_for_want_of_memory_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group { folders: vec![folder.path().to_path_buf()] };
        fs::write(folder.path().join("memory.events"), "low 0\noom_kill 0\n").unwrap();
        assert!(!group.ran_out_of_memory());
        fs::write(folder.path().join("memory.events"), "low 0\noom_kill 2\n").unwrap();
        assert!(group.ran_out_of_memory());
    }
}

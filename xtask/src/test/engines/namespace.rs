//! A mount namespace for engines: what they mount is seen nowhere else and goes with them, and what
//! they leave in `/etc`, `/opt`, `/run` and `/dev/shm` never reaches the system.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use super::wait_until;
use crate::job::Service;

/// Its arguments: a folder for what is written, and the file by which it says that it is ready.
const KEEPER: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
for name in etc opt; do
    mkdir "$1/$name" "$1/$name-work"
    mount -t overlay overlay -o "lowerdir=/$name,upperdir=$1/$name,workdir=$1/$name-work" "/$name"
done
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
touch "$2"
exec sleep 2147483647
"#;

/// How long what was killed may take to be gone.
const LAST_MOMENTS: Duration = Duration::from_secs(10);

/// The namespace, for as long as its keeper runs.
#[derive(Debug)]
pub(super) struct Namespace {
    keeper: Service,
}

impl Namespace {
    pub(super) fn open(folder: &Path, log: &File) -> Result<Self> {
        let (layers, ready) = (folder.join("layers"), folder.join("ready"));
        fs::create_dir(&layers)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", KEEPER, "keeper"]).arg(layers).arg(&ready);
        command.stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut keeper = Service::start(&mut command)?;
        wait_until("the mount namespace", &mut keeper, || ready.exists())?;
        Ok(Self { keeper })
    }

    /// What `nsenter` calls it.
    pub(super) fn flag(&self) -> String {
        format!("--mount={}", self.path().display())
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/mnt", self.keeper.id()).into()
    }

    /// All who are in it, but for its keeper.
    fn others(&self) -> Vec<Pid> {
        let Ok(own) = fs::read_link(self.path()) else { return Vec::new() };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != self.keeper.id())
            .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|it| it == own))
            .filter_map(|pid| Pid::from_raw(pid.try_into().ok()?))
            .collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let started = Instant::now();
        loop {
            let left = self.others();
            if left.is_empty() || started.elapsed() > LAST_MOMENTS {
                break;
            }
            for pid in left {
                // Gone already, perhaps.
                kill_process(pid, Signal::KILL).ok();
            }
            thread::sleep(Duration::from_millis(30));
        }
        drop(self.keeper.stop(Signal::KILL));
    }
}

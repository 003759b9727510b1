//! A disk that is nearly full.

use std::{fs, path::Path};

use rustix::{
    fs::statvfs,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use tempfile::TempDir;

use crate::support::{Sandbox, is_root};

/// Mounted for as long as it lives.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        mount("tmpfs", disk.path(), "tmpfs", MountFlags::empty(), c"mode=0755,size=32m").unwrap();
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves 256 KiB.
    fn fill(&self) {
        let system = statvfs(self.path()).unwrap();
        let free = usize::try_from(system.f_bavail * system.f_frsize).unwrap();
        fs::write(self.path().join("filler"), vec![1; free - (256 << 10)]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.path(), UnmountFlags::DETACH).ok();
    }
}

#[tokio::test]
async fn a_process_that_hides_its_open_files_is_ended_only_once_the_disk_is_nearly_full() {
    if !is_root() {
        // Nobody else can mount a disk.
        return;
    }
    let disk = SmallDisk::mount();
    let sandbox = Sandbox::with(|spec| spec.root = disk.path().join("sandbox")).await;
    // Nobody may look into a program that can be run and not be read.
    sandbox.output("cp $(command -v sleep) hides && chmod 0111 hides").await;
    assert_eq!(sandbox.output("./hides 2; echo fine").await, "fine");
    disk.fill();
    assert_eq!(sandbox.output("sleep 2; echo fine").await, "fine");
    let result = sandbox.sh("exec ./hides 50").await;
    assert_eq!(result.exit_code, 137, "{result:?}");
    assert!(result.stderr.contains("cannot be looked into"), "{}", result.stderr);
    assert_eq!(sandbox.output("echo alive").await, "alive");
}

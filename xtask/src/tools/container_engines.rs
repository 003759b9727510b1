//! Docker, Podman and gVisor, unpacked beside the system and not installed in it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Folder, find_program};
use crate::interrupt;
use crate::job;

/// Raised when an entry shall hold something else.
const KEY: &str = "container-engines-1";

/// Debian's packages in all its releases; those that a release does not know are left out.
const PACKAGES: [&str; 17] = [
    "busybox-static",
    "conmon",
    "containerd",
    "docker-cli",
    "docker.io",
    "golang-github-containers-common",
    "golang-github-containers-image",
    "libgpgme11",
    "libgpgme11t64",
    "libip6tc2",
    "libsubid4",
    "libsubid5",
    "libyajl2",
    "podman",
    "runc",
    "runsc",
    "tini",
];

/// What else it takes to have them and to run them apart from the system.
const HELPERS: [&str; 5] = ["apt-get", "dpkg", "unshare", "nsenter", "timeout"];

/// The folder that holds the engines, as their packages lay them out.
#[derive(Debug)]
pub(crate) struct ContainerEngines {
    tree: PathBuf,
}

impl ContainerEngines {
    /// Fetches what is missing of them.
    pub(crate) fn ensure() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("only root can start them");
        }
        if let Some(missing) = HELPERS.iter().find(|name| find_program(name).is_none()) {
            bail!("there is no {missing} on this machine");
        }
        let tree = Folder::open()?.ensure(KEY, fetch)?;
        Ok(Self { tree })
    }

    /// Where a program of theirs is.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let folders = ["usr/bin", "usr/sbin", "bin"].map(|folder| self.tree.join(folder));
        let found = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        found.with_context(|| format!("the packages have no {name}"))
    }

    /// What has to stand in `PATH`, before the system's own folders.
    pub(crate) fn folders(&self) -> [PathBuf; 2] {
        ["usr/bin", "usr/sbin"].map(|folder| self.tree.join(folder))
    }

    /// Where their libraries are: the folder that is named after the machine.
    pub(crate) fn libraries(&self) -> PathBuf {
        let folder = self.tree.join("usr/lib");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let is_named = |path: &PathBuf| {
            path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.contains("-linux-"))
        };
        entries.map(|entry| entry.path()).find(is_named).unwrap_or(folder)
    }
}

fn fetch(new: &Path) -> Result<()> {
    let packages = new.join("packages");
    fs::create_dir(&packages)?;
    download(&packages).or_else(|_| {
        interrupt::check()?;
        job::whole_step("package lists", Command::new("apt-get").arg("update"))?;
        download(&packages)
    })?;
    for package in fs::read_dir(&packages)? {
        job::step("unpacking", Command::new("dpkg").arg("-x").arg(package?.path()).arg(new))?;
    }
    Ok(fs::remove_dir_all(&packages)?)
}

fn download(into: &Path) -> Result<()> {
    let table = job::capture(Command::new("apt-cache").arg("madison").args(PACKAGES))?;
    let names = known(&table);
    if !["docker.io", "busybox-static"].iter().all(|name| names.contains(name)) {
        bail!("apt knows no docker.io and busybox-static");
    }
    let mut command = Command::new("apt-get");
    // apt's own unprivileged user cannot write to this folder.
    command.args(["-o", "APT::Sandbox::User=root", "download"]).args(names).current_dir(into);
    job::step("container engines for the tests", &mut command)
}

/// Those of the packages that are in apt's table.
fn known(madison: &str) -> Vec<&'static str> {
    let rows: Vec<&str> =
        madison.lines().filter_map(|line| Some(line.split_once('|')?.0.trim())).collect();
    PACKAGES.into_iter().filter(|name| rows.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_other_releases_are_not_asked_for() {
        let table = " docker.io | 20.10.24+dfsg1-1 | http://mirror.example/debian bookworm/main\n \
                     libgpgme11 | 1.18.0-3 | http://mirror.example/debian bookworm/main\n \
                     docker.io-doc | 20.10.24 | http://mirror.example/debian bookworm/main\n";
        assert_eq!(known(table), ["docker.io", "libgpgme11"]);
        assert_eq!(known(""), [""; 0]);
    }

    #[test]
    fn programs_and_libraries_are_found_where_packages_put_them() {
        let tree = tempfile::tempdir().unwrap();
        let engines = ContainerEngines { tree: tree.path().to_owned() };
        for folder in ["usr/lib/podman", "usr/lib/aarch64-linux-gnu", "usr/sbin"] {
            fs::create_dir_all(tree.path().join(folder)).unwrap();
        }
        assert_eq!(engines.libraries(), tree.path().join("usr/lib/aarch64-linux-gnu"));
        fs::write(tree.path().join("usr/sbin/dockerd"), "").unwrap();
        assert_eq!(engines.program("dockerd").unwrap(), tree.path().join("usr/sbin/dockerd"));
        assert!(engines.program("podman").is_err());
    }
}

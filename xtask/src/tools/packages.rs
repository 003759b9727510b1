//! Programs that come from the system's own packages.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::job;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    /// Names the program goes by; one of them is enough.
    pub(crate) programs: &'static [&'static str],
    pub(crate) debian: &'static str,
}

impl Package {
    /// Runs the sandboxes.
    pub(crate) const BUBBLEWRAP: Self = Self { programs: &["bwrap"], debian: "bubblewrap" };
    /// The browser of the browser tests.
    pub(crate) const CHROMIUM: Self =
        Self { programs: &["chromium", "chromium-browser", "google-chrome"], debian: "chromium" };
    /// The second database that the store is tested on.
    pub(crate) const POSTGRES: Self = Self { programs: &["initdb"], debian: "postgresql" };

    /// Where the program is.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        self.programs.iter().find_map(|name| find_program(name))
    }
}

/// Looks a program up in `PATH`, then where Debian keeps Postgres' server programs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    // A program in `PATH` may be a copy without its libraries: prefer the packaged one.
    versions.reverse();
    versions.into_iter().chain(folders).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Installs the packages whose programs are missing, or says in one line what to do.
pub(crate) fn ensure_packages(wanted: &[Package]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|p| p.find().is_none()).map(|p| p.debian).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if find_program("apt-get").is_none() {
        bail!("missing: {names}. Install it with your system's packages, then start again");
    }
    let as_root = rustix::process::geteuid().is_root();
    if !as_root && !job::succeeds(Command::new("sudo").args(["-n", "true"])) {
        bail!("missing: {names}. Run `sudo apt-get install {names}`, then start again");
    }
    install(&missing, as_root).or_else(|_| {
        crate::interrupt::check()?;
        job::whole_step("package lists", apt_get(as_root).arg("update"))?;
        install(&missing, as_root)
    })
}

fn install(names: &[&str], as_root: bool) -> Result<()> {
    let mut command = apt_get(as_root);
    command.args(["install", "--yes", "--no-install-recommends"]).args(names);
    // A package manager that is killed leaves a system that is half set up.
    job::whole_step(&format!("system packages: {}", names.join(", ")), &mut command)
}

fn apt_get(as_root: bool) -> Command {
    // Run level 1 keeps a freshly installed database from being started as a service.
    let settings = ["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
    let mut command = Command::new(if as_root { "env" } else { "sudo" });
    if !as_root {
        command.args(["-n", "env"]);
    }
    command.args(settings).arg("apt-get");
    command
}

//! npm packages, installed once into the tools folder from the lock files in the checkout.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Folder;
use crate::job;

const OLDEST_NODE: u32 = 20;

/// Installs the packages that `source` pins and returns their `node_modules`.
pub(super) fn modules(folder: &Folder, source: &Path) -> Result<PathBuf> {
    check_version()?;
    let files = ["package.json", "package-lock.json", ".npmrc"];
    let mut hash = DefaultHasher::new();
    for file in files {
        fs::read(source.join(file))
            .with_context(|| format!("cannot read {}", source.join(file).display()))?
            .hash(&mut hash);
    }
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    let entry = folder.ensure(&format!("npm-{name}-{:016x}", hash.finish()), |new| {
        for file in files {
            fs::copy(source.join(file), new.join(file))?;
        }
        // The packages carry what they need; no script of theirs has to run.
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(new);
        job::step("npm packages", &mut install)
    })?;
    Ok(entry.join("node_modules"))
}

/// Makes `link` point at `modules`. A folder that somebody installed there by hand stays.
pub(super) fn link(modules: &Path, link: &Path) -> Result<()> {
    match fs::read_link(link) {
        Ok(target) if target == modules => return Ok(()),
        Ok(_) => fs::remove_file(link)?,
        Err(_) if link.is_dir() => return Ok(()),
        Err(_) => {}
    }
    std::os::unix::fs::symlink(modules, link)?;
    Ok(())
}

/// An error that says what to do, unless there is a Node that is new enough.
pub(crate) fn check_version() -> Result<()> {
    let hint = format!("Node.js {OLDEST_NODE} or newer is needed, with npm: install it first");
    let version = job::capture(Command::new("node").arg("--version")).context(hint.clone())?;
    let major = version.trim().trim_start_matches('v').split('.').next();
    if major.and_then(|major| major.parse::<u32>().ok()).is_none_or(|major| major < OLDEST_NODE) {
        bail!("{hint} (found {})", version.trim());
    }
    Ok(())
}

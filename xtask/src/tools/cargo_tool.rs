//! Tools that come as cargo packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Folder;
use crate::console;
use crate::job;

/// Checked against the lock file's own format, so pinned like a dependency.
const CARGO_DENY: &str = "0.20.2";

/// The packer of the browser's module. Its version must be that of the library.
pub(super) fn wasm_bindgen(folder: &Folder, version: &str) -> Result<PathBuf> {
    let entry = install(folder, "wasm-bindgen-cli", version, "wasm-bindgen", "")?;
    Ok(entry.join("bin/wasm-bindgen"))
}

/// What cuts the browser's module into its parts. Its version must be that of the library.
pub(super) fn wasm_split(folder: &Folder, version: &str) -> Result<PathBuf> {
    let (package, binary) = ("wasm_split_cli_support", "wasm-split-cli");
    let entry = install(folder, package, version, binary, "build-binary")?;
    Ok(entry.join("bin").join(binary))
}

/// The checker of licences and sources.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let folder = Folder::open()?;
    let entry = install(&folder, "cargo-deny", CARGO_DENY, "cargo-deny", "")?;
    Ok(entry.join("bin/cargo-deny"))
}

fn install(
    folder: &Folder,
    package: &str,
    version: &str,
    binary: &str,
    features: &str,
) -> Result<PathBuf> {
    folder.ensure(&format!("{package}-{version}"), |new| {
        let name = format!("{package} {version} (compiled once for all checkouts)");
        let command = || command(new, package, version, binary, features);
        let mut locked = command();
        if let Err(error) = job::step(&name, locked.arg("--locked")) {
            crate::interrupt::check()?;
            // A registry mirror may lack one exact version that the package's lock file names.
            console::say(&format!("{error:#}; trying with the versions the registry has"));
            job::step(&name, &mut command())?;
        }
        std::fs::remove_dir_all(new.join("target"))?;
        Ok(())
    })
}

fn command(new: &Path, package: &str, version: &str, binary: &str, features: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["install", "--debug", "--bin", binary, "--version", &format!("={version}")])
        .args(["--features", features])
        .arg("--root")
        .arg(new)
        .arg(package)
        // Neither debug information nor the checkout's own settings: only the time to build counts.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_TARGET_DIR", new.join("target"))
        .current_dir(new);
    command
}

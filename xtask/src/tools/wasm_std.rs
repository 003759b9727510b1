//! The standard library for the browser's target: asked of rustup first, then built from
//! Debian's copy of the very same sources, for machines that reach a package mirror only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Folder;
use super::debian;
use crate::console;
use crate::job;
use crate::workspace::WASM;

/// Makes sure that the toolchain in use can compile for the browser.
pub(super) fn ensure(folder: &Folder) -> Result<()> {
    if present()? {
        return Ok(());
    }
    let _lock = folder.lock()?;
    if present()? {
        return Ok(());
    }
    let by_rustup = job::step(
        "wasm32 standard library, by rustup",
        Command::new("rustup").args(["target", "add", WASM]),
    );
    crate::interrupt::check()?;
    if by_rustup.is_ok() && present()? {
        return Ok(());
    }
    console::say("rustup could not bring it; building it from Debian's sources instead");
    let release = release()?;
    from_debian_source(folder, &release).with_context(|| {
        format!(
            "the wasm32 standard library is missing. Where rustup reaches its server: \
             `rustup target add {WASM}`. On Debian with trixie-backports among apt's sources: \
             `apt-get install rust-src={release}*`, then build library/sysroot for {WASM}"
        )
    })
}

/// Whether the toolchain has `core` and `std` for the target.
fn present() -> Result<bool> {
    let folder = target_libdir()?;
    let found: Vec<String> = fs::read_dir(&folder)
        .map(|entries| entries.flatten().filter_map(|entry| library(&entry.path())).collect())
        .unwrap_or_default();
    Ok(["core", "std"].iter().all(|name| found.iter().any(|library| library == name)))
}

/// The crate in a library file: `core` for `libcore-0123abcd.rlib`, `std` for `libstd.rlib`.
fn library(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?.strip_prefix("lib")?.strip_suffix(".rlib")?;
    Some(name.split_once('-').map_or(name, |(name, _hash)| name).to_owned())
}

fn target_libdir() -> Result<PathBuf> {
    let text =
        job::capture(Command::new("rustc").args(["--print", "target-libdir", "--target", WASM]))?;
    Ok(PathBuf::from(text.trim()))
}

/// The toolchain's release, as in `1.95.0`.
fn release() -> Result<String> {
    let text = job::capture(Command::new("rustc").arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("release: "));
    Ok(line.context("rustc names no release")?.to_owned())
}

fn from_debian_source(folder: &Folder, release: &str) -> Result<()> {
    let libdir = target_libdir()?;
    fs::create_dir_all(&libdir).with_context(|| {
        format!("{} is not writable: run the set-up as the toolchain's owner", libdir.display())
    })?;
    let work = folder.workshop("rust-src")?;
    let built = debian::rust_src(&work, release).and_then(|source| build(&source, &work));
    let copied = built.and_then(|rlibs| copy(&rlibs, &libdir));
    fs::remove_dir_all(&work)?;
    copied
}

/// Compiles `library/sysroot`, the way the toolchain's own build does.
fn build(source: &Path, work: &Path) -> Result<PathBuf> {
    let target = work.join("target");
    let mut command = Command::new("cargo");
    command
        .current_dir(source.join("library/sysroot"))
        .args(["build", "--release", "--locked", "--target", WASM])
        .args(["--features", "compiler-builtins-mem", "--target-dir"])
        .arg(&target)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes")
        .env_remove("CARGO_TARGET_DIR");
    job::step("wasm32 standard library, from source", &mut command)?;
    Ok(target.join(WASM).join("release/deps"))
}

/// Puts the libraries into the toolchain; `core` and `std` last, for `present` looks at them.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(from)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rlib"))
        .collect();
    if files.is_empty() {
        bail!("the build of the standard library made no libraries");
    }
    files.sort_by_key(|path| library(path).is_some_and(|name| name == "core" || name == "std"));
    for file in files {
        // Whole or not at all: a library that was cut off in the middle would count as present.
        let whole = to.join(file.file_name().unwrap_or_default());
        let part = whole.with_extension("part");
        fs::copy(&file, &part)?;
        fs::rename(&part, &whole)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_put_in_place_whole() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["libcore-1.rlib", "libstd-1.rlib", "libstd-1.d"] {
            fs::write(from.path().join(name), name).unwrap();
        }
        // In use by a compiler that must not see it change.
        let old = to.path().join("libcore-1.rlib");
        fs::write(&old, "old").unwrap();
        let used = fs::File::open(&old).unwrap();
        copy(from.path(), to.path()).unwrap();
        assert_eq!(std::io::read_to_string(used).unwrap(), "old");
        let mut names: Vec<_> =
            fs::read_dir(to.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["libcore-1.rlib", "libstd-1.rlib"]);
        assert_eq!(fs::read_to_string(old).unwrap(), "libcore-1.rlib");
    }

    #[test]
    fn libraries_are_known_by_name_with_and_without_a_hash() {
        let name = |file: &str| library(Path::new(file));
        assert_eq!(name("/lib/libcore-358b0d682e6bec87.rlib").as_deref(), Some("core"));
        assert_eq!(name("/lib/libstd.rlib").as_deref(), Some("std"));
        assert_eq!(name("/lib/libstd_detect-1fce8479a0c66b7d.rlib").as_deref(), Some("std_detect"));
        assert_eq!(name("/lib/libstd.rmeta"), None);
    }
}

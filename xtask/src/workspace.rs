//! Where things are: read from cargo's own metadata, the same table that cargo-leptos reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::job;

/// The browser's target.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// The checkout, its target folder and its `[[workspace.metadata.leptos]]` table.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// Base name of the module, its glue and its style sheet.
    pub(crate) name: String,
    pub(crate) bin_package: String,
    pub(crate) lib_package: String,
    pub(crate) lib_release_profile: String,
    pub(crate) site_root: PathBuf,
    pub(crate) site_pkg_dir: String,
    pub(crate) assets_dir: PathBuf,
    pub(crate) style_input: PathBuf,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let text = job::capture(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
        Self::from_metadata(&serde_json::from_str(&text)?)
    }

    fn from_metadata(metadata: &Value) -> Result<Self> {
        let text = |pointer: &str| {
            let value = metadata.pointer(pointer).and_then(Value::as_str);
            value.with_context(|| format!("cargo metadata has no {pointer}"))
        };
        let leptos = |key: &str| text(&format!("/metadata/leptos/0/{key}"));
        let root = PathBuf::from(text("/workspace_root")?);
        Ok(Self {
            target: text("/target_directory")?.into(),
            name: leptos("name")?.to_owned(),
            bin_package: leptos("bin-package")?.to_owned(),
            lib_package: leptos("lib-package")?.to_owned(),
            lib_release_profile: leptos("lib-profile-release")?.to_owned(),
            site_root: root.join(leptos("site-root")?),
            site_pkg_dir: leptos("site-pkg-dir")?.to_owned(),
            assets_dir: root.join(leptos("assets-dir")?),
            style_input: root.join(leptos("tailwind-input-file")?),
            root,
        })
    }

    /// cargo, at the root of the checkout.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root).env("CARGO_TERM_COLOR", "never");
        command
    }

    /// cargo for the browser's module: a target folder of its own, and exactly the flags of
    /// `.cargo/config.toml`, whatever the person's environment says.
    pub(crate) fn cargo_wasm(&self, subcommand: &str) -> Command {
        let mut command = self.cargo();
        command
            .arg(subcommand)
            .args(["--target", WASM, "--target-dir"])
            .arg(self.wasm_target())
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_RUSTFLAGS");
        command
    }

    /// The folder that cargo-leptos uses for the browser's module as well.
    pub(crate) fn wasm_target(&self) -> PathBuf {
        self.target.join("front")
    }

    /// A binary of the dev or the release profile.
    pub(crate) fn binary(&self, release: bool, name: &str) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join(name)
    }

    /// Where this tool keeps what it made between two runs.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// The version of a package in `Cargo.lock`.
    pub(crate) fn locked_version(&self, package: &str) -> Result<String> {
        let lock = std::fs::read_to_string(self.root.join("Cargo.lock"))?;
        version_in_lock(&lock, package)
            .with_context(|| format!("Cargo.lock has no package {package}"))
    }

    /// A path as it is named in messages: from the root of the checkout.
    pub(crate) fn short<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

fn cargo() -> Command {
    Command::new("cargo")
}

fn version_in_lock(lock: &str, package: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_lock_file_by_the_exact_name() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(version_in_lock(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(version_in_lock(lock, "wasm"), None);
    }
}

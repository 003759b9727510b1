//! The build tools: what is needed, where it is kept, how it is had.

mod cargo_tool;
mod container_engines;
mod debian;
mod folder;
mod node;
mod packages;
mod wasm_std;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;

pub(crate) use cargo_tool::cargo_deny;
pub(crate) use container_engines::ContainerEngines;
pub(crate) use folder::Folder;
pub(crate) use node::check_version;
pub(crate) use packages::{Package, ensure_packages, find_program};

use crate::console;
use crate::workspace::Workspace;

/// What builds the site, ready to be called.
#[derive(Debug)]
pub(crate) struct SiteTools {
    pub(crate) wasm_bindgen: PathBuf,
    node_modules: PathBuf,
}

impl SiteTools {
    /// Installs whatever of it is missing.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let folder = Folder::open()?;
        wasm_std::ensure(&folder)?;
        let node_modules = node::modules(&folder, &workspace.root.join("xtask/node"))?;
        let version = workspace.locked_version("wasm-bindgen")?;
        let wasm_bindgen = cargo_tool::wasm_bindgen(&folder, &version)?;
        Ok(Self { wasm_bindgen, node_modules })
    }

    /// What cuts a release build's module into its parts. No other build needs it.
    pub(crate) fn wasm_split(&self, workspace: &Workspace) -> Result<PathBuf> {
        // What it reads in the module is what the macro of the same version left there.
        let version = workspace.locked_version("wasm_split_helpers")?;
        cargo_tool::wasm_split(&Folder::open()?, &version)
    }

    /// A program of the pinned npm packages.
    pub(crate) fn node_program(&self, name: &str) -> Command {
        let mut command = Command::new(self.node_modules.join(".bin").join(name));
        // The style sheet imports Tailwind by name, and the packages are not beside it.
        command.env("NODE_PATH", &self.node_modules);
        command
    }

    /// `PATH` and `NODE_PATH` for programs that look these tools up themselves.
    pub(crate) fn environment(&self) -> Result<[(&'static str, OsString); 2]> {
        let mut folders = vec![self.node_modules.join(".bin")];
        folders.extend(self.wasm_bindgen.parent().map(PathBuf::from));
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let path = std::env::join_paths(folders)?;
        Ok([("PATH", path), ("NODE_PATH", self.node_modules.clone().into_os_string())])
    }
}

/// Installs the packages of the browser tests and links them into the checkout.
pub(crate) fn browser_test_modules(workspace: &Workspace) -> Result<PathBuf> {
    let end2end = workspace.root.join("end2end");
    let modules = node::modules(&Folder::open()?, &end2end)?;
    node::link(&modules, &end2end.join("node_modules"))?;
    Ok(modules)
}

/// `cargo xtask setup`.
pub(crate) fn setup(workspace: &Workspace) -> Result<ExitCode> {
    let tools = SiteTools::ensure(workspace)?;
    browser_test_modules(workspace)?;
    console::say(&format!("wasm-bindgen  {}", tools.wasm_bindgen.display()));
    console::say(&format!("npm packages  {}", tools.node_modules.display()));
    Ok(ExitCode::SUCCESS)
}

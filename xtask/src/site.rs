//! The site: the browser's module, its glue, the style sheet and the static files.
//!
//! The same five steps as cargo-leptos takes, from the same metadata table. cargo-leptos itself
//! is not needed: compiling it takes longer than everything here together.

mod assemble;
mod compress;
mod module;
mod stamp;
mod style;

use anyhow::Result;

use crate::console;
use crate::tools::SiteTools;
use crate::workspace::Workspace;

/// How the site is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Fast to build.
    Dev,
    /// Small to load: optimised, minified, names that carry a hash, compressed copies beside.
    Release,
}

impl Profile {
    pub(crate) fn release(self) -> bool {
        self == Self::Release
    }
}

/// Brings the site folder up to date.
pub(crate) fn build(workspace: &Workspace, tools: &SiteTools, profile: Profile) -> Result<()> {
    let folder = workspace.scratch().join(if profile.release() { "release" } else { "dev" });
    let pkg = folder.join("pkg");
    std::fs::create_dir_all(&pkg)?;
    let wasm = module::compile(workspace, profile)?;
    module::pack(workspace, tools, profile, &wasm, &folder)?;
    style::build(workspace, tools, profile, &folder)?;
    let files = assemble::site(workspace, profile, &pkg)?;
    if profile.release() {
        compress::siblings(workspace, &files)?;
    }
    assemble::remove_others(workspace, profile, &files)?;
    if console::verbose() {
        console::say(&format!("site: {} files in {}", files.len(), workspace.site_root.display()));
    }
    Ok(())
}

//! The site: the browser's module, its glue, the style sheet and the static files.
//!
//! The same five steps as cargo-leptos takes, from the same metadata table; a release build's module
//! is cut into parts besides. cargo-leptos itself is not needed: compiling it takes longer than
//! everything here together.

mod assemble;
mod compress;
mod module;
mod parts;
mod stamp;
mod style;

use std::fs;

use anyhow::{Context, Result};

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
    fs::create_dir_all(&pkg)?;
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

/// Sizes of the browser's module after each step of a release build, in bytes.
pub(crate) fn module_sizes(workspace: &Workspace) -> Result<Vec<(String, u64)>> {
    let served = stamp::files_below(&workspace.site_root.join(&workspace.site_pkg_dir))?;
    let served = |part: bool, ending: &str| {
        let found = served.iter().find(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(ending) && name.starts_with(&format!("{}.", workspace.name)) != part
        });
        found.with_context(|| format!("the site has no such file that ends with {ending}"))
    };
    let compiled = module::compiled_path(workspace, Profile::Release);
    let sizes = [
        ("module_compiled", compiled.as_path()),
        ("module_optimised", served(false, ".wasm")?),
        ("module_gzip", served(false, ".wasm.gz")?),
        ("module_brotli", served(false, ".wasm.br")?),
        ("part_optimised", served(true, ".wasm")?),
        ("part_brotli", served(true, ".wasm.br")?),
    ];
    sizes.into_iter().map(|(name, file)| Ok((name.to_owned(), fs::metadata(file)?.len()))).collect()
}

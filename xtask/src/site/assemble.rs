//! The site folder: packed files under their final names, and the static files.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Profile;
use super::stamp::files_below;
use crate::workspace::Workspace;

/// Where the server reads the hashes in the names, in the form that Leptos reads.
const HASHES: &str = "hash.txt";

/// Writes the site and returns its files. Files that are right already are not touched, so that
/// their times tell what is new.
pub(super) fn site(
    workspace: &Workspace,
    profile: Profile,
    packed: &Path,
) -> Result<BTreeSet<PathBuf>> {
    let site = &workspace.site_root;
    let mut files = BTreeSet::new();
    for asset in files_below(&workspace.assets_dir)? {
        let name = asset.strip_prefix(&workspace.assets_dir)?;
        files.insert(place(&asset, site.join(name))?);
    }
    let pkg = site.join(&workspace.site_pkg_dir);
    let mut hashes = String::new();
    for source in files_below(packed)? {
        let name = source.strip_prefix(packed)?;
        let kind = main_file(workspace, name);
        let target = match kind {
            Some(kind) if profile.release() => {
                let hash = content_hash(&source)?;
                hashes.push_str(&format!("{kind}: {hash}\n"));
                pkg.join(format!("{}.{hash}.{kind}", workspace.name))
            }
            _ => pkg.join(name),
        };
        files.insert(place(&source, target)?);
    }
    if profile.release() {
        let file = site.join(HASHES);
        if fs::read_to_string(&file).ok().as_deref() != Some(hashes.as_str()) {
            fs::write(&file, hashes)?;
        }
        files.insert(file);
    }
    Ok(files)
}

/// Removes what an earlier build left: old hashes, and compressed copies of other contents.
pub(super) fn remove_others(
    workspace: &Workspace,
    profile: Profile,
    files: &BTreeSet<PathBuf>,
) -> Result<()> {
    for file in files_below(&workspace.site_root)? {
        let original = ["br", "gz"]
            .iter()
            .find(|extension| file.extension().is_some_and(|found| found == **extension))
            .map(|_| file.with_extension(""));
        let compressed = profile.release() && original.is_some_and(|file| files.contains(&file));
        if !compressed && !files.contains(&file) {
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

/// `js`, `wasm` or `css` for the three files that carry the site's name.
fn main_file(workspace: &Workspace, name: &Path) -> Option<&'static str> {
    ["js", "wasm", "css"]
        .into_iter()
        .find(|extension| name == Path::new(&format!("{}.{extension}", workspace.name)))
}

fn place(source: &Path, target: PathBuf) -> Result<PathBuf> {
    let contents = fs::read(source)?;
    if fs::read(&target).ok().as_deref() != Some(contents.as_slice()) {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&target, contents)
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(target)
}

fn content_hash(file: &Path) -> Result<String> {
    let mut hash = DefaultHasher::new();
    fs::read(file)?.hash(&mut hash);
    Ok(format!("{:016x}", hash.finish()))
}

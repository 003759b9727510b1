//! The site folder: packed files under their final names, and the static files.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

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
        files.insert(place(&fs::read(&asset)?, site.join(name))?);
    }
    let pkg = site.join(&workspace.site_pkg_dir);
    let mut hashes = String::new();
    let mut sources = files_below(packed)?;
    // The glue names the parts of the module: theirs are the first names to be known.
    sources.sort_by_key(|file| file.extension().is_some_and(|extension| extension == "js"));
    let mut parts = Vec::new();
    for source in sources {
        let name = source.strip_prefix(packed)?;
        let mut contents = fs::read(&source)?;
        let target = match hashed_key(&workspace.name, name).filter(|_| profile.release()) {
            Some(key) => {
                if key == "js" {
                    contents = with_names(contents, &parts)?;
                }
                let hash = content_hash(&contents);
                hashes.push_str(&format!("{key}: {hash}\n"));
                let target = hashed_name(name, &hash);
                if name.file_stem().is_some_and(|stem| stem == key.as_str()) {
                    parts.push((name.to_owned(), target.clone()));
                }
                pkg.join(target)
            }
            None => pkg.join(name),
        };
        files.insert(place(&contents, target)?);
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

/// The name's key in the list of hashes: `js`, `wasm` or `css` for the three files that carry the
/// site's name, its own for another part of the module. Leptos passes those over.
fn hashed_key(site: &str, name: &Path) -> Option<String> {
    let (stem, extension) = (name.file_stem()?.to_str()?, name.extension()?.to_str()?);
    match extension {
        "js" | "wasm" | "css" if stem == site => Some(extension.to_owned()),
        "wasm" => Some(stem.to_owned()),
        _ => None,
    }
}

/// `NAME.wasm` as `NAME.HASH.wasm`.
fn hashed_name(name: &Path, hash: &str) -> PathBuf {
    let extension = name.extension().unwrap_or_default().to_string_lossy();
    name.with_extension(format!("{hash}.{extension}"))
}

/// The glue, with the final names of the module's parts.
fn with_names(glue: Vec<u8>, parts: &[(PathBuf, PathBuf)]) -> Result<Vec<u8>> {
    let mut glue = String::from_utf8(glue)?;
    for (plain, hashed) in parts {
        let quoted = |name: &Path| format!("\"./{}\"", name.display());
        if !glue.contains(&quoted(plain)) {
            bail!("the module's glue does not name {}", plain.display());
        }
        glue = glue.replace(&quoted(plain), &quoted(hashed));
    }
    Ok(glue.into_bytes())
}

fn place(contents: &[u8], target: PathBuf) -> Result<PathBuf> {
    if fs::read(&target).ok().as_deref() != Some(contents) {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&target, contents)
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(target)
}

fn content_hash(contents: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    contents.hash(&mut hash);
    format!("{:016x}", hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_module_is_listed_by_its_own_name() {
        let key = |name: &str| hashed_key("skein", Path::new(name));
        assert_eq!(key("skein.wasm").as_deref(), Some("wasm"));
        assert_eq!(key("skein.css").as_deref(), Some("css"));
        assert_eq!(key("split_thread.wasm").as_deref(), Some("split_thread"));
        assert_eq!(key("other.js"), None);
    }

    #[test]
    fn the_glue_asks_for_a_part_by_the_name_that_tells_its_contents() {
        let hash = content_hash(b"part");
        let name = Path::new("split_thread.wasm");
        let hashed = hashed_name(name, &hash);
        assert_eq!(hashed, PathBuf::from(format!("split_thread.{hash}.wasm")));
        let parts = [(name.to_owned(), hashed)];
        let glue = b"fetch(new URL(\"./split_thread.wasm\", import.meta.url))".to_vec();
        let named = String::from_utf8(with_names(glue, &parts).unwrap()).unwrap();
        assert_eq!(
            named,
            format!("fetch(new URL(\"./split_thread.{hash}.wasm\", import.meta.url))")
        );
        assert!(with_names(b"fetch(other)".to_vec(), &parts).is_err(), "nobody would load it");
    }
}

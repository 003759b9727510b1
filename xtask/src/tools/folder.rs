//! The tools folder: one for all checkouts, an entry for each exact version.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::console::Step;
use crate::interrupt;

/// `$SKEIN_TOOLS`, or `skein/tools` in the person's cache folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn open() -> Result<Self> {
        Self::at(Self::location()?).context("no tools folder; SKEIN_TOOLS names another")
    }

    /// A folder at another place that is kept in the same way.
    pub(crate) fn at(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where the tools folder is, made or not.
    pub(crate) fn location() -> Result<PathBuf> {
        location().context("neither SKEIN_TOOLS nor HOME is set")
    }

    /// Where an entry is, if it is there.
    pub(crate) fn entry(&self, key: &str) -> Option<PathBuf> {
        let path = self.path.join(key);
        path.is_dir().then_some(path)
    }

    /// The entry `key`, made by `make` when it is missing. `make` gets an empty folder, which
    /// becomes the entry only when it succeeds: a half-made entry is never seen.
    pub(crate) fn ensure(
        &self,
        key: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        self.renew(key, |_| true, make)
    }

    /// The same for an entry without its version in its name: one that is not `current` is replaced.
    pub(crate) fn renew(
        &self,
        key: &str,
        current: impl Fn(&Path) -> bool,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let look = || self.entry(key).filter(|entry| current(entry));
        if let Some(entry) = look() {
            return Ok(entry);
        }
        let _lock = self.lock()?;
        if let Some(entry) = look() {
            return Ok(entry);
        }
        // Under the lock nobody else builds, so what is there was left by a set-up that died.
        let new = self.path.join(format!(".new-{key}"));
        remove(&new)?;
        fs::create_dir(&new)?;
        let made = make(&new);
        if made.is_err() {
            remove(&new)?;
        }
        made?;
        let entry = self.path.join(key);
        remove(&entry)?;
        fs::rename(&new, &entry)?;
        Ok(entry)
    }

    /// An empty folder for work under the lock, which nobody else may look into.
    pub(crate) fn workshop(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(format!(".work-{name}"));
        // Under the lock, what is there was left by a set-up that died.
        remove(&path)?;
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Waits until no other set-up is at work; the lock ends with the returned file.
    pub(crate) fn lock(&self) -> Result<File> {
        let file = File::create(self.path.join(".lock"))?;
        let mut step = Step::start("another set-up is at work; waiting for it");
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(200)),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            interrupt::check()?;
            step.tick("");
        }
        step.done();
        Ok(file)
    }
}

fn location() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = variable("SKEIN_TOOLS") {
        return Some(path.into());
    }
    let cache = match variable("XDG_CACHE_HOME") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(variable("HOME")?).join(".cache"),
    };
    Some(cache.join("skein/tools"))
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    fn folder() -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder { path: home.path().to_owned() };
        (home, folder)
    }

    #[test]
    fn an_entry_is_made_once() {
        let (_home, folder) = folder();
        let entry = folder.ensure("tool-1", |new| Ok(fs::write(new.join("file"), "x")?)).unwrap();
        assert!(entry.join("file").is_file());
        let again = folder.ensure("tool-1", |_| bail!("made twice")).unwrap();
        assert_eq!(again, entry);
    }

    #[test]
    fn an_entry_that_is_old_is_replaced_once_the_new_one_is_made() {
        let (_home, folder) = folder();
        let is = |version: &'static str| {
            move |entry: &Path| fs::read(entry.join("v")).is_ok_and(|v| v == version.as_bytes())
        };
        let make = |version: &'static str| move |new: &Path| Ok(fs::write(new.join("v"), version)?);
        folder.renew("tool", is("1"), make("1")).unwrap();
        assert!(folder.renew("tool", is("2"), |_| bail!("no network")).is_err());
        let entry = folder.renew("tool", is("1"), |_| bail!("made twice")).unwrap();
        folder.renew("tool", is("2"), make("2")).unwrap();
        assert!(is("2")(&entry));
    }

    #[test]
    fn a_workshop_is_empty_and_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (_home, folder) = folder();
        for _ in 0..2 {
            let work = folder.workshop("library").unwrap();
            assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
            assert_eq!(fs::metadata(&work).unwrap().permissions().mode() & 0o777, 0o700);
            fs::write(work.join("left"), "by one that died").unwrap();
        }
    }

    #[test]
    fn an_entry_that_could_not_be_made_leaves_nothing_behind() {
        let (_home, folder) = folder();
        assert!(folder.ensure("tool-1", |_| bail!("no network")).is_err());
        assert_eq!(folder.entry("tool-1"), None);
        assert!(folder.ensure("tool-1", |_| Ok(())).is_ok());
    }
}

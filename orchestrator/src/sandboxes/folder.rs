//! Removes a sandbox's folder, whatever the sandbox did to it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, Mode, unlinkat};

use crate::tree::{self, Step};

/// Begins the name of a folder that is on its way out. No sandbox's id begins with a dot.
const REMOVED: &str = ".removed-";

/// Removes the folder with all that is in it. A missing one is no error. Its name is free at once:
/// whoever gets the same id next never finds these files, also when they can't be removed.
pub(super) async fn remove(folder: &Path) -> io::Result<()> {
    let aside = folder.with_file_name(format!("{REMOVED}{}", uuid::Uuid::now_v7().simple()));
    match fs::rename(folder, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => finish(aside).await,
    }
}

/// Folders whose removal was begun and not finished.
pub(super) fn leftovers(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(REMOVED.as_bytes()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes a folder that was set aside.
pub(super) async fn finish(aside: PathBuf) -> io::Result<()> {
    let erased = tokio::task::spawn_blocking(move || erase(&aside));
    erased.await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// A sandbox may have closed folders to everyone, also to us who own them.
pub(super) fn erase(folder: &Path) -> io::Result<()> {
    tree::walk(folder, Mode::RWXU, |step| match step {
        Step::Found { stat, .. } if tree::is_folder(stat) => Ok(()),
        Step::Found { folder, name, .. } => Ok(unlinkat(folder, name, AtFlags::empty())?),
        Step::Left { folder, name } => Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?),
        Step::Closed(errno) => Err(errno.into()),
    })?;
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tree::tests::nest;

    #[tokio::test]
    async fn a_folder_goes_however_deep_or_closed_it_is_and_nothing_stays_behind() {
        let dir = crate::tree::tests::folder();
        let folder = dir.path().join("sandbox-1");
        fs::create_dir_all(folder.join("closed/below")).unwrap();
        fs::write(folder.join("closed/below/file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
        // Deeper than a stack or a table of open files would bear.
        nest(&folder, "deep", 20_000);
        nest(&folder, &"long".repeat(50), 100);
        fs::set_permissions(folder.join("closed/below"), fs::Permissions::from_mode(0o000))
            .unwrap();
        fs::set_permissions(folder.join("closed"), fs::Permissions::from_mode(0o300)).unwrap();
        remove(&folder).await.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        remove(&folder).await.unwrap();
    }

    #[tokio::test]
    async fn what_an_earlier_removal_left_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sandbox-1")).unwrap();
        fs::create_dir_all(dir.path().join(".removed-1/x")).unwrap();
        let left = leftovers(dir.path());
        assert_eq!(left, [dir.path().join(".removed-1")]);
        finish(left[0].clone()).await.unwrap();
        assert!(leftovers(dir.path()).is_empty());
        assert!(dir.path().join("sandbox-1").exists());
    }
}

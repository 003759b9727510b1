//! Removes a sandbox's folder, whatever the sandbox did to it.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// Removes the folder with all that is in it. A missing one is no error.
pub(super) async fn remove(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A sandbox may have closed folders to everyone, also to us who own them.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open(&folder)?;
            fs::remove_dir_all(&folder)
        }
        removed => removed,
    })
    .await
    .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// Makes every folder below enterable again. Links are not followed.
fn open(folder: &Path) -> io::Result<()> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

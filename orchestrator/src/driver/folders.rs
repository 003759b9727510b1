//! The folders of a sandbox on the host, and whose they are.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::Path,
};

use rustix::fs::{AtFlags, Gid, Mode, Uid, chownat};

use super::DriverError;
pub(super) use crate::door::{MODELS, NETWORK, RUN};
use crate::tree::{self, Step};

pub(super) const WORKSPACE: &str = "workspace";
pub(super) const HOME: &str = "home";

/// Uid that a stopped sandbox's files belong to.
pub(super) fn owner(root: &Path) -> Option<u32> {
    fs::symlink_metadata(root.join(WORKSPACE)).ok().map(|metadata| metadata.uid())
}

/// Makes the folders. With a uid, the sandbox's own two belong to it, with all that is in them.
pub(super) async fn prepare(root: &Path, uid: Option<u32>) -> Result<(), DriverError> {
    let root = root.to_path_buf();
    let shown = root.display().to_string();
    tokio::task::spawn_blocking(move || make(&root, uid))
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(DriverError::io(format!("the sandbox's folder {shown} cannot be prepared")))
}

fn make(root: &Path, uid: Option<u32>) -> io::Result<()> {
    for name in [RUN, WORKSPACE, HOME] {
        let folder = root.join(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        if !fs::symlink_metadata(&folder)?.is_dir() {
            return Err(io::Error::other(format!("{name} is not a folder")));
        }
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o700))?;
    if let Some(uid) = uid {
        for name in [WORKSPACE, HOME] {
            let folder = root.join(name);
            if fs::symlink_metadata(&folder)?.uid() != uid {
                give(&folder, uid)?;
            }
        }
    }
    Ok(())
}

/// Changes the owner of a folder last, so that an interrupted change is taken up again.
/// Links are changed themselves, never followed: what they point at is the sandbox's choice.
fn give(folder: &Path, uid: u32) -> io::Result<()> {
    let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
    // Root, who alone has an owner to change, needs no permission.
    tree::walk(folder, Mode::empty(), |step| match step {
        Step::Found { stat, .. } if tree::is_folder(stat) => Ok(()),
        Step::Found { folder, name, .. } | Step::Left { folder, name } => {
            Ok(chownat(folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?)
        }
        Step::Closed(errno) => Err(errno.into()),
    })?;
    lchown(folder, Some(uid), Some(uid))
}

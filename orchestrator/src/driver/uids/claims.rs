//! Which uids are given away, as all orchestrators of this machine know it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Nobody but root has a say above it, and it is empty after the machine's start.
const FOLDER: &str = "/run/skein-uids";

/// A folder with a file for each uid, which is locked while the uid is given away. The files stay:
/// whoever locked one that is gone would have what another has by a new one.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Without one, nobody is known but this orchestrator.
    folder: Option<PathBuf>,
}

/// A uid that no other orchestrator gives away meanwhile. It ends with this process, however that ends.
#[derive(Debug)]
pub(super) struct Claim(Option<fs::File>);

impl Claims {
    /// Those of this machine, as far as it can be told.
    pub(super) fn common() -> Self {
        Self::within(Path::new(FOLDER)).unwrap_or_else(|error| {
            tracing::warn!(
                folder = FOLDER,
                %error,
                "another orchestrator of root's may give its sandboxes the same uids"
            );
            Self::default()
        })
    }

    /// In this folder, which is made when it is missing.
    pub(super) fn within(folder: &Path) -> io::Result<Self> {
        if let Err(error) = fs::DirBuilder::new().mode(0o700).create(folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let found = fs::symlink_metadata(folder)?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it is not a folder of our own"));
        }
        let claims = Self { folder: Some(folder.to_owned()) };
        // It may be there and not be writable. No sandbox has this uid.
        drop(claims.take(0)?);
        Ok(claims)
    }

    /// Never waits. `None`: another orchestrator has it.
    pub(super) fn take(&self, uid: u32) -> io::Result<Option<Claim>> {
        let Some(folder) = &self.folder else { return Ok(Some(Claim(None))) };
        let mut options = fs::File::options();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(folder.join(uid.to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim(Some(file)))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Said by itself: a program that is just being started has the file open for a moment more.
        if let Some(file) = &self.0 {
            file.unlock().ok();
        }
    }
}

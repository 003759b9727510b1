//! Snapshots as files of a folder of this machine.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{
    fs::{self, File, OpenOptions},
    io::AsyncWriteExt,
};

use crate::secrets::create_private_dir;

/// Bytes of the disk that are left to others: without any, the database can't be written.
const RESERVE: u64 = 256 << 20;

/// One file per snapshot.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// A file that has not its own name yet.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    folder: PathBuf,
    draft: PathBuf,
    whole: PathBuf,
}

impl Folder {
    /// Makes the folder, readable by its owner alone.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        create_private_dir(&path)?;
        Ok(Self(path))
    }

    /// Bytes that may still be written to it.
    pub(super) fn room(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.0)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(RESERVE))
    }

    pub(super) async fn begin(&self, id: &str) -> io::Result<Draft> {
        let draft = self.draft(id);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).await?;
        Ok(Draft { file, folder: self.0.clone(), draft, whole: self.whole(id) })
    }

    pub(super) async fn read(&self, id: &str) -> io::Result<File> {
        File::open(self.whole(id)).await
    }

    /// Removes the snapshot, half or whole. None is no error.
    pub(super) async fn remove(&self, id: &str) -> io::Result<()> {
        for path in [self.draft(id), self.whole(id)] {
            match fs::remove_file(path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn draft(&self, id: &str) -> PathBuf {
        self.0.join(format!(".{id}.part"))
    }

    fn whole(&self, id: &str) -> PathBuf {
        self.0.join(format!("{id}.tar.gz"))
    }
}

impl Draft {
    pub(super) async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece).await
    }

    /// Gives the file its name once all of it is on the disk.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        fs::rename(&self.draft, &self.whole).await?;
        sync(&self.folder).await
    }
}

/// Without it a loss of power could take the name back.
async fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

//! Sockets that one sandbox has and no other: its ways out, which the host listens on.

use std::{
    fs, io,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

/// Folder of the sockets below the sandbox's root on the host.
pub(crate) const RUN: &str = "run";
/// Names of sockets in it: of the model gateway, and of the proxy to the network.
pub(crate) const MODELS: &str = "models.sock";
pub(crate) const NETWORK: &str = "network.sock";

/// Listens at a socket of this name in the sandbox's run folder. Everybody may connect who can reach
/// the socket; the folder around it is closed to all but us, and the sandbox gets the socket alone.
pub(crate) fn listen(root: &Path, name: &str) -> io::Result<UnixListener> {
    let folder = root.join(RUN);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let flags =
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let folder = fs::OpenOptions::new().read(true).custom_flags(flags).open(folder)?;
    // Through the descriptor, because a socket's path has room for 107 bytes only.
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

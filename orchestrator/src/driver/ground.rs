//! What every driver stands on.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    DriverError, folders,
    uids::{self, Lease, UidPool},
};

/// Where a driver finds what it needs.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    /// Program that runs as the sandbox's init when its first argument is `sidecar`.
    /// Absent: the program that asks.
    pub sidecar_binary: Option<PathBuf>,
    /// Unprivileged uids, one for each live sandbox. Used when the driver runs as root.
    pub uid_pool: Range<u32>,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self { sidecar_binary: None, uid_pool: uids::DEFAULT_POOL }
    }
}

/// The sidecar's program, and the uids that all drivers share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) sidecar_binary: PathBuf,
    /// `Some` when running as root.
    uids: Option<UidPool>,
}

impl Ground {
    pub(super) fn new(options: DriverOptions) -> Result<Self, DriverError> {
        let sidecar_binary = match options.sidecar_binary {
            Some(path) => fs::canonicalize(path),
            None => std::env::current_exe(),
        }
        .map_err(DriverError::io("the sidecar's program cannot be found"))?;
        let uids = if rustix::process::geteuid().is_root() {
            let map = fs::read_to_string("/proc/self/uid_map")
                .map_err(DriverError::io("/proc/self/uid_map cannot be read"))?;
            Some(UidPool::choose(options.uid_pool, &map)?)
        } else {
            None
        };
        Ok(Self { sidecar_binary, uids })
    }

    /// Whether each sandbox has a uid of its own; the orchestrator's, otherwise.
    pub(super) fn has_pool(&self) -> bool {
        self.uids.is_some()
    }

    /// A uid for the sandbox with this folder, if there are any to give.
    pub(super) fn lease(&self, root: &Path) -> Result<Option<Lease>, DriverError> {
        self.uids.as_ref().map(|pool| pool.take(folders::owner(root))).transpose()
    }

    /// Any uid, for a sandbox without files.
    pub(super) fn any(&self) -> Result<Option<Lease>, DriverError> {
        self.uids.as_ref().map(|pool| pool.take(None)).transpose()
    }
}

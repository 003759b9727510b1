//! Folders as gzip tars, in both directions.

mod members;
mod pack;
mod routes;
mod tops;
mod unpack;

pub(super) use pack::packed;
pub(super) use routes::routes;
pub(super) use unpack::{Links, unpack};

/// Entries of an archive.
const MAX_ENTRIES: u64 = 200_000;
/// Longest name of an entry, in bytes.
const MAX_NAME: usize = 4096;

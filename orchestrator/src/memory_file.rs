//! Content for a program that is about to be started.

use std::{
    fs::File,
    io::{self, Seek, Write},
};

use rustix::fs::MemfdFlags;

/// A file that is nowhere, at its beginning; closed in whatever is started. Unlike a pipe, nobody has
/// to stay to fill it.
pub(crate) fn memory_file(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("skein", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

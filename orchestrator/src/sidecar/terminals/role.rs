//! Becomes the first program in a terminal.

use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

/// A shell's own words for a program that is not there.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Arguments: the program with its own. Standard input is the terminal.
///
/// The supervisor above stays out of the terminal's session, so that neither Ctrl-C nor a hang-up
/// reaches it.
pub(in crate::sidecar) fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<u8, String> {
    let program = arguments.next().ok_or("a program is needed")?;
    nix::unistd::setsid().map_err(|error| error.to_string())?;
    rustix::process::ioctl_tiocsctty(io::stdin()).map_err(|error| error.to_string())?;
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("{}: {error}", program.display());
    let missing = error.kind() == io::ErrorKind::NotFound;
    Ok(if missing { NOT_FOUND } else { NOT_EXECUTABLE })
}

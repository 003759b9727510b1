//! One process above each command, so that all the command starts can be found again.
//!
//! It adopts every descendant whose own parent ended, however it detached itself. While it lives,
//! the command's tree is complete below it; when the command ends, it ends with the same exit code.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus},
};

use rustix::{
    io::Errno,
    process::{Pid, Resource, Rlimit, WaitId, WaitIdOptions, WaitOptions, wait, waitid},
};

/// Commands yield to the sidecar, and to the orchestrator outside.
const NICENESS: i32 = 5;
/// When memory runs out, a command is killed rather than the sidecar.
const OOM_SCORE: &str = "500";
/// A shell's own words for a program that is not there.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Arguments: the largest file in bytes, then the program with its arguments.
pub(super) fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<u8, String> {
    let file_size = arguments.next().and_then(|size| size.to_str()?.parse::<u64>().ok());
    let (Some(file_size), Some(program)) = (file_size, arguments.next()) else {
        return Err("a size and a program are needed".into());
    };
    let limit = Rlimit { current: Some(file_size), maximum: Some(file_size) };
    rustix::process::setrlimit(Resource::Fsize, limit).map_err(|error| error.to_string())?;
    let adopt = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    match adopt {
        // Early gVisor does not know it. There, what detaches itself ends with the sandbox only.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.to_string()),
    }
    // Neither is worth failing for.
    nix::unistd::setsid().ok();
    rustix::process::nice(NICENESS).ok();
    fs::write("/proc/self/oom_score_adj", OOM_SCORE).ok();

    let child = match Command::new(&program).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            let missing = error.kind() == io::ErrorKind::NotFound;
            return Ok(if missing { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    end_of(Pid::from_child(&child)).map_err(|error| error.to_string())
}

/// The program's exit code, once it has one. Reaps all others that end.
fn end_of(program: Pid) -> rustix::io::Result<u8> {
    // Looked at only: the program stays below its supervisor to the end, so that one without children
    // has started nothing yet. The init takes it over.
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::All, look) {
            Err(Errno::INTR) => continue,
            any => any?,
        };
        if let Some(end) = waitid(WaitId::Pid(program), look | WaitIdOptions::NOHANG)? {
            let by_signal = || 128 + end.terminating_signal().unwrap_or(0);
            let code = end.exit_status().unwrap_or_else(by_signal);
            return Ok(u8::try_from(code).unwrap_or(u8::MAX));
        }
        // It may be the program's end after all, and what is traced only stops.
        if let Some((pid, status)) = wait(WaitOptions::NOHANG)?
            && pid == program
            && !status.stopped()
        {
            return Ok(exit_code(ExitStatus::from_raw(status.as_raw())));
        }
    }
}

/// As shells have it: 128 + n after signal n.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}

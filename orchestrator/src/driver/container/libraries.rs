//! The shared libraries that the sidecar's program needs, which go into every container with it.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::{
    driver::DriverError,
    sidecar::{self, LIBRARIES, LOADER},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Files of the host and where they go.
#[derive(Debug)]
pub(super) struct Libraries {
    pub(super) files: Vec<(PathBuf, String)>,
}

impl Libraries {
    /// Asks the loader of the program, which lists them instead of starting it. A program that needs
    /// none has no loader to ask: it is started, and ends at once for want of a role.
    pub(super) async fn of(program: &std::path::Path) -> Result<Self, DriverError> {
        let cannot = || DriverError::io("the libraries of the sidecar cannot be listed");
        let mut command = Command::new(program);
        command.arg(sidecar::ARGUMENT).env_clear().env("LD_TRACE_LOADED_OBJECTS", "1");
        command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let output = timeout(PATIENCE, command.output())
            .await
            .map_err(std::io::Error::from)
            .map_err(cannot())?
            .map_err(cannot())?;
        Ok(Self { files: listed(&String::from_utf8_lossy(&output.stdout)) })
    }

    /// Whether the program is started by the loader among them.
    pub(super) fn has_loader(&self) -> bool {
        self.files.iter().any(|(_, target)| target == LOADER)
    }
}

/// `libc.so.6 => /lib/libc.so.6 (0x…)` for a library, `/lib64/ld.so.2 (0x…)` for the loader.
fn listed(text: &str) -> Vec<(PathBuf, String)> {
    let lines = text.lines().filter_map(|line| {
        let (line, _address) = line.trim().rsplit_once(" (")?;
        let (path, target) = match line.split_once(" => ") {
            Some((name, path)) if !name.contains('/') => (path, format!("{LIBRARIES}/{name}")),
            Some((_, path)) => (path, LOADER.to_owned()),
            None => (line, LOADER.to_owned()),
        };
        // What the kernel itself brings has no path.
        path.starts_with('/').then(|| (path.into(), target))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_keep_their_names_and_the_loader_gets_its_own() {
        let found = listed(
            "\tlinux-vdso.so.1 (0x00007fff)\n\
             \tlibgcc_s.so.1 => /lib64/libgcc_s-13.so.1 (0x00007f01)\n\
             \tlibc.so.6 => /lib64/libc.so.6 (0x00007f02)\n\
             \t/lib64/ld-linux-x86-64.so.2 (0x00007f03)\n",
        );
        let expected = [
            ("/lib64/libgcc_s-13.so.1", "/opt/skein/lib/libgcc_s.so.1"),
            ("/lib64/libc.so.6", "/opt/skein/lib/libc.so.6"),
            ("/lib64/ld-linux-x86-64.so.2", LOADER),
        ];
        assert_eq!(found, expected.map(|(path, target)| (path.into(), target.to_owned())));
        // As NixOS has it.
        let nix = listed("\t/lib64/ld-linux-x86-64.so.2 => /nix/store/x/ld.so.2 (0x00007f03)\n");
        assert_eq!(nix, [("/nix/store/x/ld.so.2".into(), LOADER.to_owned())]);
        assert_eq!(listed("\tstatically linked\n"), []);
    }
}

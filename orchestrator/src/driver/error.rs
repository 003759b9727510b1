//! Why a sandbox cannot be had, in words that lead on.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Every message says what is wrong and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    #[error(
        "bubblewrap is not installed, and sandboxes need it. Install it with \
         `apt install bubblewrap`, `dnf install bubblewrap`, `pacman -S bubblewrap` or \
         `apk add bubblewrap`, then start again."
    )]
    BubblewrapMissing,
    /// The self-test did not start, and what bubblewrap printed tells why.
    #[error("sandboxes cannot be isolated on this machine: {reason} {way_out} (said: {output})")]
    CannotIsolate { reason: &'static str, way_out: &'static str, output: String },
    /// The self-test started but found less isolation than promised.
    #[error("sandboxes are not isolated on this machine: {0}. None will be started.")]
    NotIsolated(String),
    #[error("{0}")]
    UidPool(String),
    #[error("all {0} uids for sandboxes are in use on this machine. Stop a sandbox first.")]
    NoFreeUid(usize),
    #[error("the sandbox cannot be made: {0}")]
    InvalidSpec(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("the sandbox did not start: {0}")]
    Start(String),
    /// `program`: what was looked for, where that was configured.
    #[error("{words}", words = engine_missing(.engine, .program.as_deref()))]
    EngineMissing { engine: &'static str, program: Option<PathBuf> },
    #[error(
        "{engine} is reached at {endpoint}. Sandboxes are made by an engine of this machine, at a Unix \
         socket: their folders are here, and whoever reaches an engine over a network has its machine"
    )]
    EngineElsewhere { engine: &'static str, endpoint: String },
    #[error(
        "docker has the users of all containers be others outside (`userns-remap`), and a sandbox's \
         folders would not be its own. Take that out of Docker's daemon.json and restart Docker, or use \
         rootless Docker or Podman"
    )]
    EngineRemapsUsers,
    /// What the engine's program complained of.
    #[error("{engine}: {said}")]
    Engine { engine: &'static str, said: String },
    #[error(
        "gVisor is not registered with Docker. Install `runsc`, add it to the runtimes in Docker's \
         daemon.json with the argument --host-uds=open, and restart Docker"
    )]
    NoGvisor,
    #[error("a container needs an image: name one, or set SKEIN_IMAGE for all that name none")]
    NoImageNamed,
    #[error(
        "there is no image {image:?} here. Fetch it with `{engine} pull`, or let images be fetched with \
         SKEIN_PULL_IMAGES=true"
    )]
    NoImage { engine: &'static str, image: String },
}

impl DriverError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Turns what a failed self-test printed into a reason and a way out.
    pub(super) fn from_output(output: &str) -> Self {
        let output = output.trim().to_owned();
        let known =
            CAUSES.iter().find(|cause| cause.signs.iter().any(|sign| output.contains(sign)));
        match known {
            Some(cause) => {
                let (reason, way_out) = (cause.reason, cause.way_out);
                Self::CannotIsolate { reason, way_out, output }
            }
            None => Self::Start(if output.is_empty() { "no reason given".into() } else { output }),
        }
    }
}

fn engine_missing(engine: &str, program: Option<&Path>) -> String {
    let variable = format!("SKEIN_{}", engine.to_ascii_uppercase());
    match program {
        Some(program) => {
            let program = program.display();
            format!(
                "there is no `{program}`, which {variable} names. Correct it, or install {engine}"
            )
        }
        None => format!(
            "there is no `{engine}` on the PATH. Install it, or name its program with {variable}"
        ),
    }
}

struct Cause {
    signs: &'static [&'static str],
    reason: &'static str,
    way_out: &'static str,
}

const CAUSES: &[Cause] = &[
    Cause {
        signs: &["setting up uid map: Permission denied", "Failed RTM_NEWADDR"],
        reason: "AppArmor lets bubblewrap make a user namespace but takes its rights away \
                 (kernel.apparmor_restrict_unprivileged_userns=1, the default of Ubuntu 24.04).",
        way_out: "Load the profile that Ubuntu ships for it: \
                  `sudo cp /usr/share/apparmor/extra-profiles/bwrap-userns-restrict \
                  /etc/apparmor.d/ && sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict` \
                  (package apparmor-profiles). Setting that sysctl to 0 works too, but gives every \
                  program on the machine a larger part of the kernel to attack.",
    },
    Cause {
        signs: &["Can't mount proc", "mounting proc"],
        reason: "the container around this process hides parts of /proc, so a sandbox cannot get a \
                 /proc of its own.",
        way_out: "Start the container with `--security-opt systempaths=unconfined`, or run outside \
                  of a container.",
    },
    Cause {
        signs: &[
            "Creating new namespace failed",
            "No permissions to create new namespace",
            "No permissions to create a new namespace",
            "own mount namespace",
        ],
        reason: "the kernel or the container around this process refuses new namespaces.",
        way_out: "On a host, allow them: `sysctl user.max_user_namespaces=15000`, on older Debian \
                  also `sysctl kernel.unprivileged_userns_clone=1`. In Docker or Podman, start the \
                  container with `--security-opt seccomp=unconfined --cap-add SYS_ADMIN`, or run \
                  outside of a container.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bubblewrap_prints_becomes_a_reason_and_a_way_out() {
        let cases = [
            ("bwrap: setting up uid map: Permission denied", "bwrap-userns-restrict"),
            ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "larger part"),
            ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths"),
            (
                "bwrap: Creating new namespace failed: Operation not permitted",
                "max_user_namespaces",
            ),
            (
                "bwrap: No permissions to create new namespace, likely because the kernel does not \
                 allow non-privileged user namespaces.",
                "unprivileged_userns_clone",
            ),
            ("sidecar: own mount namespace: Operation not permitted (os error 1)", "SYS_ADMIN"),
        ];
        for (output, way_out) in cases {
            let error = DriverError::from_output(output);
            assert!(matches!(error, DriverError::CannotIsolate { .. }), "{output}");
            let words = error.to_string();
            assert!(words.contains(way_out) && words.contains(output), "{words}");
        }
    }

    #[test]
    fn what_is_not_known_is_passed_on() {
        let words = DriverError::from_output("bwrap: something new\n").to_string();
        assert_eq!(words, "the sandbox did not start: bwrap: something new");
        assert!(DriverError::from_output("").to_string().contains("no reason"));
    }

    #[test]
    fn a_missing_engine_is_told_by_the_program_that_was_looked_for() {
        let missing = |program: Option<&str>| {
            let program = program.map(PathBuf::from);
            DriverError::EngineMissing { engine: "podman", program }.to_string()
        };
        let words = missing(Some("/opt/none/podman"));
        assert!(words.contains("`/opt/none/podman`") && words.contains("SKEIN_PODMAN"), "{words}");
        let words = missing(None);
        assert!(
            words.contains("`podman` on the PATH") && words.contains("SKEIN_PODMAN"),
            "{words}"
        );
    }

    #[test]
    fn a_missing_bubblewrap_says_how_to_install_it() {
        assert!(DriverError::BubblewrapMissing.to_string().contains("apt install bubblewrap"));
    }
}

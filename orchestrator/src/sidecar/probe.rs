//! The self-test's view from inside: what a sandbox can see and do that it should not.

use std::fs;

use serde::{Deserialize, Serialize};

/// What was found inside. Also read by the driver, outside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Findings {
    processes: usize,
    interfaces: Vec<String>,
    capabilities: String,
    no_new_privileges: bool,
    system_call_filter: bool,
    nested_namespace: bool,
    root_writable: bool,
}

/// Whose kernel the sandbox runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// The host's.
    Shared,
    /// One in user space, which filters and answers system calls itself.
    Own,
}

pub(super) fn run() -> Result<u8, String> {
    let findings = Findings::look()?;
    println!("{}", serde_json::to_string(&findings).map_err(|error| error.to_string())?);
    Ok(0)
}

impl Findings {
    /// Looks around. To be called before there is a second thread.
    pub(super) fn look() -> Result<Self, String> {
        let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or_default().trim_start_matches(':').trim().to_owned()
        };
        let network = fs::read_to_string("/proc/net/dev").map_err(|error| error.to_string())?;
        Ok(Self {
            processes: super::process_tree::ids().len(),
            interfaces: network
                .lines()
                .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
                .collect(),
            capabilities: field("CapEff"),
            no_new_privileges: field("NoNewPrivs") == "1",
            system_call_filter: field("Seccomp") == "2",
            root_writable: fs::write("/probe", "").is_ok(),
            nested_namespace: nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).is_ok(),
        })
    }

    /// What is wrong, if anything is.
    pub(crate) fn verdict(&self, kernel: Kernel) -> Result<(), String> {
        // It does not say so in /proc, but has neither programs that give privileges nor other
        // system calls than its own.
        let own = kernel == Kernel::Own;
        let checks = [
            (self.processes == 1, "they see processes of the host"),
            (self.interfaces.iter().all(|name| name == "lo"), "they have a network interface"),
            (self.capabilities.chars().all(|digit| digit == '0'), "they hold privileges"),
            (self.no_new_privileges || own, "they can gain privileges"),
            (self.system_call_filter || own, "their system calls are not filtered"),
            (!self.nested_namespace, "they can make namespaces"),
            (!self.root_writable, "they can write outside of their folders"),
        ];
        match checks.iter().find(|(fine, _)| !fine) {
            Some((_, problem)) => Err((*problem).to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isolated() -> Findings {
        Findings {
            processes: 1,
            interfaces: vec!["lo".into()],
            capabilities: "0000000000000000".into(),
            no_new_privileges: true,
            system_call_filter: true,
            nested_namespace: false,
            root_writable: false,
        }
    }

    #[test]
    fn a_sandbox_alone_with_its_loopback_passes() {
        assert_eq!(isolated().verdict(Kernel::Shared), Ok(()));
    }

    #[test]
    fn every_hole_is_refused() {
        let holes = [
            Findings { processes: 90, ..isolated() },
            Findings { interfaces: vec!["lo".into(), "eth0".into()], ..isolated() },
            Findings { capabilities: "000001ffffffffff".into(), ..isolated() },
            Findings { no_new_privileges: false, ..isolated() },
            Findings { system_call_filter: false, ..isolated() },
            Findings { nested_namespace: true, ..isolated() },
            Findings { root_writable: true, ..isolated() },
        ];
        for hole in holes {
            assert!(hole.verdict(Kernel::Shared).is_err(), "{hole:?}");
        }
    }
}

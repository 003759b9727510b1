//! Debian's copy of the toolchain's sources, fetched without touching the system's apt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::job;

/// Suites that carry recent toolchains, the most likely one first.
const SUITES: [&str; 3] = ["trixie-backports", "testing", "unstable"];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches and unpacks `rust-src` of exactly `release`; returns the folder of the sources.
pub(super) fn rust_src(work: &Path, release: &str) -> Result<PathBuf> {
    let mirror = mirror().context("apt is not set up with a Debian mirror")?;
    for suite in SUITES {
        let apt = Apt::new(work, &mirror, suite)?;
        if job::step(&format!("package list of {suite}"), apt.get().arg("update")).is_err() {
            crate::interrupt::check()?;
            continue;
        }
        if let Some(version) = apt.version_of("rust-src", release)? {
            let mut download = apt.get();
            download.arg("download").arg(format!("rust-src={version}")).current_dir(work);
            job::step(&format!("rust-src {version}"), &mut download)?;
            return unpack(work, release);
        }
    }
    bail!("Debian has no rust-src {release} in {}", SUITES.join(", "))
}

fn unpack(work: &Path, release: &str) -> Result<PathBuf> {
    let package = fs::read_dir(work)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    let tree = work.join("tree");
    job::step("unpacking", Command::new("dpkg").arg("-x").arg(package).arg(&tree))?;
    Ok(tree.join(format!("usr/src/rustc-{release}")))
}

/// apt with one source, and lists, caches and state of its own.
#[derive(Debug)]
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(work: &Path, mirror: &str, suite: &str) -> Result<Self> {
        let home = work.join(suite);
        for folder in ["state/lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(home.join(folder))?;
        }
        let list = home.join("sources.list");
        fs::write(&list, format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))?;
        let mut options = vec![
            format!("Dir::Etc::SourceList={}", list.display()),
            format!("Dir::Etc::SourceParts={}", home.join("parts").display()),
            format!("Dir::State={}", home.join("state").display()),
            "Dir::State::Status=/var/lib/dpkg/status".to_owned(),
            format!("Dir::Cache={}", home.join("cache").display()),
            "Acquire::Languages=none".to_owned(),
        ];
        if rustix::process::geteuid().is_root() {
            // apt's own unprivileged user cannot read a private temporary folder.
            options.push("APT::Sandbox::User=root".to_owned());
        }
        Ok(Self { options })
    }

    fn get(&self) -> Command {
        self.command("apt-get")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.options.iter().for_each(|option| {
            command.args(["-o", option]);
        });
        command
    }

    /// The package's version whose upstream part is `release`.
    fn version_of(&self, package: &str, release: &str) -> Result<Option<String>> {
        let table = job::capture(self.command("apt-cache").args(["madison", package]))?;
        Ok(matching_version(&table, release))
    }
}

fn matching_version(madison: &str, release: &str) -> Option<String> {
    let versions = madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    let mut exact = versions.filter(|version| {
        version.strip_prefix(release).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
    });
    exact.next().map(str::to_owned)
}

/// The mirror that the system's own apt uses for Debian's main archive.
fn mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|e| e.path()),
    );
    files.sort();
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| mirror_in(&text))
}

/// The first address of a Debian archive in one of apt's source files, of either format.
fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_from_both_formats_of_apt_sources() {
        let old = "# comment\ndeb [arch=amd64] http://mirror.example/debian/ bookworm main\n";
        assert_eq!(mirror_in(old).as_deref(), Some("http://mirror.example/debian/"));
        let new = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(mirror_in(new).as_deref(), Some("http://mirror.example/debian"));
    }

    #[test]
    fn archives_of_others_and_of_security_updates_are_no_mirror() {
        let text = "deb http://packages.example/tools stable main\n\
                    URIs: http://mirror.example/debian-security\n\
                    # URIs: http://snapshot.example/debian\n";
        assert_eq!(mirror_in(text), None);
    }

    #[test]
    fn only_the_exact_release_matches() {
        let table = " rust-src | 1.95.10+dfsg1-1 | http://m trixie/main\n \
                     rust-src | 1.95.1+dfsg1-1~bpo13+1 | http://m trixie/main\n";
        let found = matching_version(table, "1.95.1");
        assert_eq!(found.as_deref(), Some("1.95.1+dfsg1-1~bpo13+1"));
        assert_eq!(matching_version(table, "1.95.0"), None);
    }
}

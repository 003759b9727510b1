//! Coding agents from npm, at the versions that Skein is tested with.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::console;
use crate::job;
use crate::tools::{Folder, check_version};

/// An agent that can be installed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Cli {
    Opencode,
    ClaudeCode,
    Codex,
}

/// What is installed of an agent.
#[derive(Debug)]
pub(super) struct Pin {
    /// Its name in Skein, and that of its folder.
    id: &'static str,
    package: &'static str,
    version: &'static str,
    program: &'static str,
    /// What this version takes on disk, for registries that don't tell.
    about_megabytes: u64,
}

const OPENCODE: Pin = Pin {
    id: "opencode",
    package: "opencode-ai",
    version: "1.18.33",
    program: "opencode",
    about_megabytes: 370,
};
const CLAUDE_CODE: Pin = Pin {
    id: "claude-code",
    package: "@anthropic-ai/claude-code",
    version: "2.1.197",
    program: "claude",
    about_megabytes: 245,
};
const CODEX: Pin = Pin {
    id: "codex",
    package: "@openai/codex",
    version: "0.169.0",
    program: "codex",
    about_megabytes: 425,
};

impl Cli {
    pub(super) fn pin(self) -> &'static Pin {
        match self {
            Self::Opencode => &OPENCODE,
            Self::ClaudeCode => &CLAUDE_CODE,
            Self::Codex => &CODEX,
        }
    }
}

/// Installs an agent into the folder, unless that version is there.
pub(super) fn install(pin: &Pin, folder: &Folder, npm: &dyn Fn() -> Command) -> Result<()> {
    let Pin { id, package, version, .. } = pin;
    if let Some(entry) = folder.entry(id) {
        let place = entry.display();
        match installed_version(pin, &entry) {
            Some(found) if found == *version => {
                console::say(&format!("{id} {version} is installed: {place}"));
                return Ok(());
            }
            Some(found) => console::say(&format!("{id} {found} is replaced by {version}")),
            // Somebody else's: it is not ours to remove.
            None => bail!("{place} holds something else than {package}: move it away first"),
        }
    }
    check_version()?;
    let size = match unpacked_size(pin, npm) {
        Some(bytes) => format!("{} MB", bytes.div_ceil(1_000_000)),
        None => format!("about {} MB", pin.about_megabytes),
    };
    console::say(&format!("{package} {version} takes {size} on disk; Ctrl-C stops"));
    let current = |entry: &Path| installed_version(pin, entry).as_deref() == Some(*version);
    let entry = folder.renew(id, current, |new| {
        let mut install = npm();
        // The program comes in a package for this machine; no script has to run.
        install
            .args(["install", "--ignore-scripts", "--include=optional", "--no-audit", "--no-fund"])
            .arg("--prefix")
            .arg(new)
            .arg(format!("{package}@{version}"));
        job::step(&format!("{id} {version}"), &mut install)?;
        check_program(pin, new)
    })?;
    console::say(&format!("{id} {version} is installed: {}", entry.display()));
    Ok(())
}

/// The version of an installation of ours.
fn installed_version(pin: &Pin, entry: &Path) -> Option<String> {
    let manifest = entry.join("node_modules").join(pin.package).join("package.json");
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).ok()?).ok()?;
    Some(manifest["version"].as_str()?.to_owned())
}

/// Bytes on disk by npm's own word: of the package, and of those that it brings for this machine.
fn unpacked_size(pin: &Pin, npm: &dyn Fn() -> Command) -> Option<u64> {
    let view = |wanted: &str| -> Option<Value> {
        let text =
            job::capture(npm().args(["view", wanted, "--json", "--fetch-retries=0"])).ok()?;
        serde_json::from_str(&text).ok()
    };
    let size = |about: &Value| about["dist"]["unpackedSize"].as_u64();
    let about = view(&format!("{}@{}", pin.package, pin.version))?;
    let parts = about["optionalDependencies"].as_object().into_iter().flatten();
    let parts = parts.filter(|(name, _)| is_for_this_machine(name)).map(|(name, version)| {
        let version = version.as_str()?;
        let wanted = match version.strip_prefix("npm:") {
            Some(alias) => alias.to_owned(),
            None => format!("{name}@{version}"),
        };
        size(&view(&wanted)?)
    });
    parts.chain([size(&about)]).sum()
}

fn is_for_this_machine(package: &str) -> bool {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    package.contains(&format!("linux-{arch}"))
        && package.contains("musl") == cfg!(target_env = "musl")
}

/// Asks the installed program for its version. One of several builds is enough: some are for older
/// processors, some for newer ones.
fn check_program(pin: &Pin, folder: &Path) -> Result<()> {
    let Pin { package, version, program, .. } = pin;
    let mut programs = Vec::new();
    find_programs(&folder.join("node_modules"), program, &mut programs)?;
    let mut answer = format!("npm has brought no {program} of {package} for this machine");
    for program in &programs {
        match job::capture(Command::new(program).arg("--version")) {
            Ok(said) if said.contains(version) => return Ok(()),
            Ok(said) => answer = format!("{package} says that it is {}", said.trim()),
            Err(error) => answer = format!("{error:#}"),
        }
    }
    bail!(answer)
}

/// Programs of that name, and not the scripts around them: in a sandbox there is no Node.
fn find_programs(folder: &Path, name: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find_programs(&entry.path(), name, found)?;
        } else if entry.file_name() == name && is_native(&entry.path()) {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn is_native(path: &Path) -> bool {
    let mut start = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// npm, as far as it is used here: it notes what it is asked for, tells the sizes that the
    /// `sizes` folder has, and its package holds the program `bash`, whatever its name.
    const NPM: &str = r#"
here=$(dirname "$0")
echo "$@" >> "$here/asked"
case "$1" in
view)
    cat "$here/sizes/$(echo "$2" | tr / _)"
    ;;
install)
    while [ "$1" != --prefix ]; do shift; done
    package="$2/node_modules/@skein/tool"
    mkdir -p "$package/bin"
    echo "{\"version\": \"${3##*@}\"}" > "$package/package.json"
    echo '#!/bin/sh' > "$package/tool"
    cp "$(command -v bash)" "$package/bin/tool"
    ;;
esac
"#;

    struct Bench {
        home: tempfile::TempDir,
        folder: Folder,
    }

    impl Bench {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            fs::write(home.path().join("npm"), NPM).unwrap();
            fs::create_dir(home.path().join("sizes")).unwrap();
            let folder = Folder::at(home.path().join("agents")).unwrap();
            Self { home, folder }
        }

        fn install(&self, version: &'static str) -> Result<()> {
            install(&pin(version), &self.folder, &|| self.npm())
        }

        fn npm(&self) -> Command {
            let mut command = Command::new("sh");
            command.arg(self.home.path().join("npm"));
            command
        }

        fn tells(&self, wanted: &str, about: &str) {
            let name = wanted.replace('/', "_");
            fs::write(self.home.path().join("sizes").join(name), about).unwrap();
        }

        /// How often npm was asked to install something.
        fn installations(&self) -> usize {
            let asked = fs::read_to_string(self.home.path().join("asked")).unwrap_or_default();
            asked.lines().filter(|line| line.starts_with("install ")).count()
        }

        fn program(&self) -> PathBuf {
            self.home.path().join("agents/tool/node_modules/@skein/tool/bin/tool")
        }
    }

    fn pin(version: &'static str) -> Pin {
        let (id, package, program) = ("tool", "@skein/tool", "tool");
        Pin { id, package, version, program, about_megabytes: 1 }
    }

    /// The version that the program will tell.
    fn version_of_bash() -> &'static str {
        let said = job::capture(Command::new("bash").args(["-c", "echo ${BASH_VERSION%%(*}"]));
        said.unwrap().trim().to_owned().leak()
    }

    #[test]
    fn what_is_installed_is_not_installed_again() {
        let bench = Bench::new();
        let version = version_of_bash();
        bench.install(version).unwrap();
        assert_eq!(bench.installations(), 1);
        assert!(bench.program().is_file());
        bench.install(version).unwrap();
        assert_eq!(bench.installations(), 1);
    }

    #[test]
    fn a_program_of_another_version_does_not_take_the_place_of_one_that_works() {
        let bench = Bench::new();
        bench.install(version_of_bash()).unwrap();
        let error = bench.install("99.98.97").unwrap_err().to_string();
        assert!(error.contains("says that it is"), "{error}");
        assert_eq!(bench.installations(), 2);
        let entry = bench.folder.entry("tool").unwrap();
        assert_eq!(installed_version(&pin(""), &entry).as_deref(), Some(version_of_bash()));
    }

    #[test]
    fn what_somebody_else_put_there_stays() {
        let bench = Bench::new();
        let own = bench.home.path().join("agents/tool/tool");
        fs::create_dir(own.parent().unwrap()).unwrap();
        fs::write(&own, "mine").unwrap();
        assert!(bench.install(version_of_bash()).is_err());
        assert_eq!((fs::read(&own).unwrap(), bench.installations()), (b"mine".to_vec(), 0));
    }

    #[test]
    fn the_size_is_that_of_the_package_and_of_its_parts_for_this_machine() {
        let bench = Bench::new();
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
        let (here, alias) = (format!("tool-linux-{arch}{libc}"), format!("1.0.0-linux-{arch}"));
        let about = format!(
            r#"{{"dist": {{"unpackedSize": 5}}, "optionalDependencies": {{
                "{here}": "1.0.0", "{here}-baseline": "npm:@skein/tool@{alias}",
                "tool-darwin-{arch}": "1.0.0", "tool-win32-{arch}": "1.0.0" }}}}"#
        );
        let size = || unpacked_size(&pin("1.0.0"), &|| bench.npm());
        bench.tells("@skein/tool@1.0.0", &about);
        bench.tells(&format!("{here}@1.0.0"), r#"{"dist": {"unpackedSize": 70}}"#);
        bench.tells(&format!("@skein/tool@{alias}"), r#"{"dist": {"unpackedSize": 600}}"#);
        assert_eq!(size(), Some(675));
        // A sum that lacks a part would be a wrong one.
        bench.tells(&format!("{here}@1.0.0"), r#"{"dist": {}}"#);
        assert_eq!(size(), None);
    }
}

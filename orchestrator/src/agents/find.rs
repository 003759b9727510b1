//! Finds the native program of an agent, so that a sandbox needs no Node to start it.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{AgentProgram, Cli};

/// A package that brings the program for this machine.
struct Native {
    package: String,
    /// Folder in the package that is enough to run the program.
    folder: String,
    /// The program in that folder.
    binary: &'static str,
}

pub(super) fn find(cli: Cli, folders: &[PathBuf], path: Option<&OsStr>) -> Option<AgentProgram> {
    let in_folder = |folder: &PathBuf| {
        let own = folder.join(cli.id());
        in_modules(cli, &own.join("node_modules"))
            .or_else(|| program(cli, &own.join(cli.command())))
    };
    folders.iter().find_map(in_folder).or_else(|| on_path(cli, path?))
}

fn on_path(cli: Cli, path: &OsStr) -> Option<AgentProgram> {
    std::env::split_paths(path).find_map(|folder| {
        let found = fs::canonicalize(folder.join(cli.command())).ok()?;
        let modules = found.ancestors().find(|folder| folder.ends_with("node_modules"));
        modules.and_then(|modules| in_modules(cli, modules)).or_else(|| program(cli, &found))
    })
}

/// The native package is beside the agent's own, or below it when it was installed globally.
fn in_modules(cli: Cli, modules: &Path) -> Option<AgentProgram> {
    let modules = fs::canonicalize(modules).ok()?;
    let nested = modules.join(cli.package()).join("node_modules");
    [modules, nested].iter().find_map(|modules| {
        natives(cli).into_iter().find_map(|native| {
            let package = modules.join(&native.package);
            let source = package.join(&native.folder);
            let binary = PathBuf::from(native.binary);
            is_program(&source.join(&binary)).then(|| AgentProgram {
                cli,
                version: version(&package),
                source,
                binary,
            })
        })
    })
}

fn natives(cli: Cli) -> Vec<Native> {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let native = |package: String, folder: &str, binary| Native {
        package,
        folder: folder.to_owned(),
        binary,
    };
    match cli {
        Cli::ClaudeCode => ["", "-musl"]
            .map(|libc| {
                native(format!("@anthropic-ai/claude-code-linux-{arch}{libc}"), "", "claude")
            })
            .into(),
        Cli::Codex => {
            let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
            let folder = format!("vendor/{target}");
            // Versions differ in where below the target the program is.
            ["bin/codex", "codex/codex"]
                .map(|binary| native(format!("@openai/codex-linux-{arch}"), &folder, binary))
                .into()
        }
        Cli::OpenCode => {
            let plain = ["", "-musl"].map(|libc| format!("opencode-linux-{arch}{libc}"));
            let baseline = plain.clone().map(|name| {
                name.replace(&format!("linux-{arch}"), &format!("linux-{arch}-baseline"))
            });
            let names = if has_avx2() { [plain, baseline] } else { [baseline, plain] };
            names.into_iter().flatten().map(|name| native(name, "bin", "opencode")).collect()
        }
    }
}

/// Without it the usual build of OpenCode ends with an illegal instruction.
fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        true
    }
}

/// A program without a package around it.
fn program(cli: Cli, path: &Path) -> Option<AgentProgram> {
    let source = fs::canonicalize(path).ok()?;
    let found = AgentProgram { cli, version: None, source, binary: PathBuf::new() };
    is_program(&found.source).then_some(found)
}

/// Whether the kernel can run it by itself; a script would need what it names.
fn is_program(path: &Path) -> bool {
    let mut start = [0; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *b"\x7fELF"
}

fn version(package: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Manifest {
        version: String,
    }
    let text = fs::read_to_string(package.join("package.json")).ok()?;
    let version = serde_json::from_str::<Manifest>(&text).ok()?.version;
    // Codex has its platform in the version of the native package.
    Some(version.split("-linux").next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::{describe, installed};

    fn put(path: &Path, content: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn install(modules: &Path, cli: Cli) -> PathBuf {
        let native = natives(cli).remove(0);
        let package = modules.join(native.package);
        put(&package.join("package.json"), br#"{"version": "1.2.3-linux-x64"}"#);
        put(&package.join(native.folder).join(native.binary), b"\x7fELF...");
        package
    }

    #[test]
    fn every_agent_is_found_in_the_agents_folder_with_its_version() {
        let folder = tempfile::tempdir().unwrap();
        for cli in Cli::ALL {
            install(&folder.path().join(cli.id()).join("node_modules"), cli);
        }
        let found = installed(&[folder.path().to_owned()], None);
        assert_eq!(found.iter().map(|found| found.cli).collect::<Vec<_>>(), Cli::ALL);
        for program in &found {
            assert_eq!(program.version.as_deref(), Some("1.2.3"));
            assert!(program.source.join(&program.binary).is_file());
            assert!(program.inside().starts_with(format!("/opt/agents/{}", program.cli.id())));
        }
        assert!(describe(&found).iter().all(|info| info.available && info.problem.is_none()));
    }

    #[test]
    fn the_first_folder_that_has_an_agent_counts() {
        let folders = [(), ()].map(|()| tempfile::tempdir().unwrap());
        install(&folders[0].path().join("codex/node_modules"), Cli::Codex);
        for cli in [Cli::Codex, Cli::ClaudeCode] {
            install(&folders[1].path().join(cli.id()).join("node_modules"), cli);
        }
        let found = installed(&folders.each_ref().map(|folder| folder.path().to_owned()), None);
        let places: Vec<_> = found.iter().map(|found| (found.cli, &found.source)).collect();
        let [(Cli::ClaudeCode, claude), (Cli::Codex, codex)] = places[..] else {
            panic!("{places:?}")
        };
        let place = |folder: &tempfile::TempDir| fs::canonicalize(folder.path()).unwrap();
        assert!(codex.starts_with(place(&folders[0])) && claude.starts_with(place(&folders[1])));
    }

    #[test]
    fn a_global_installation_is_found_through_the_link_on_the_path() {
        let root = tempfile::tempdir().unwrap();
        let agent = root.path().join("lib/node_modules/@openai/codex");
        put(&agent.join("bin/codex.js"), b"#!/usr/bin/env node\n");
        let package = install(&agent.join("node_modules"), Cli::Codex);
        let bin = root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(agent.join("bin/codex.js"), bin.join("codex")).unwrap();
        let found = installed(&[root.path().join("none")], Some(bin.as_os_str()));
        assert_eq!(found.len(), 1);
        assert!(found[0].source.starts_with(fs::canonicalize(package).unwrap()));
    }

    #[test]
    fn a_lone_program_on_the_path_is_taken_and_a_script_is_not() {
        let bin = tempfile::tempdir().unwrap();
        put(&bin.path().join("claude"), b"\x7fELF...");
        put(&bin.path().join("codex"), b"#!/bin/sh\n");
        let found = installed(&[], Some(bin.path().as_os_str()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].inside(), Path::new("/opt/agents/claude-code"));
    }

    #[test]
    fn what_is_missing_says_how_to_get_it() {
        let described = describe(&[]);
        assert!(described.iter().all(|info| !info.available));
        let problem = described[2].problem.as_deref().unwrap();
        assert!(problem.contains("cargo xtask agents install codex"), "{problem}");
        assert!(problem.contains("npm install --global @openai/codex"), "{problem}");
    }
}

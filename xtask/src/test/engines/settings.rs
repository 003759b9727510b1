//! What engines are told, and the programs by which the tests call them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::tools::ContainerEngines;

/// Docker's daemon and its client, and gVisor as one of its runtimes where there is one.
pub(super) fn docker(engines: &ContainerEngines, folder: &Path) -> Result<Command> {
    let settings = folder.join("daemon.json");
    fs::write(&settings, json!({"runtimes": runtimes(engines)?}).to_string())?;
    let mut host = OsString::from("unix://");
    host.push(folder.join("docker.sock"));

    let mut daemon = Command::new(engines.program("dockerd")?);
    daemon.env("PATH", search_path(engines)?).env("LD_LIBRARY_PATH", engines.libraries());
    daemon.arg("--config-file").arg(settings).arg("--host").arg(&host);
    for (flag, name) in
        [("--data-root", "docker"), ("--exec-root", "exec"), ("--pidfile", "docker.pid")]
    {
        daemon.arg(flag).arg(folder.join(name));
    }
    // No sandbox is ever given a network by an engine.
    daemon.args(["--iptables=false", "--bridge=none"]);

    let client = Command::new(engines.program("docker")?);
    let own = folder.join("docker-client");
    let variables = [("DOCKER_HOST", host.as_os_str()), ("DOCKER_CONFIG", own.as_os_str())];
    write_program(&folder.join("bin/docker"), &variables, &client)?;
    Ok(daemon)
}

fn runtimes(engines: &ContainerEngines) -> Result<serde_json::Value> {
    let Ok(runsc) = engines.program("runsc") else { return Ok(json!({})) };
    // The sidecar is spoken to over a socket of the host.
    let flags = Command::new(&runsc).arg("flags").output()?;
    let flags = String::from_utf8_lossy(&[flags.stdout, flags.stderr].concat()).into_owned();
    let sockets = if flags.contains("-fsgofer-host-uds") {
        "--fsgofer-host-uds=true"
    } else {
        "--host-uds=open"
    };
    Ok(json!({"runsc": {
        "path": runsc,
        "runtimeArgs": ["--network=none", sockets],
    }}))
}

/// Podman, which has no daemon: it enters the namespace at every call.
pub(super) fn podman(engines: &ContainerEngines, folder: &Path, namespace: &str) -> Result<()> {
    let (containers, storage) = (folder.join("containers.conf"), folder.join("storage.conf"));
    // `crun`, which it would take otherwise, fails where both versions of control groups are mounted.
    let words = format!(
        "[engine]\nconmon_path = [{}]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
         runtime = \"runc\"\n[engine.runtimes]\nrunc = [{}]\n",
        toml(&engines.program("conmon")?),
        toml(&engines.program("runc")?)
    );
    fs::write(&containers, words)?;
    let (root, run) = (folder.join("podman"), folder.join("podman-run"));
    let words = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = {}\nrunroot = {}\n",
        toml(&root),
        toml(&run)
    );
    fs::write(&storage, words)?;
    let home = folder.join("home");
    fs::create_dir_all(home.join(".config/containers"))?;
    let policy = json!({"default": [{"type": "insecureAcceptAnything"}]}).to_string();
    fs::write(home.join(".config/containers/policy.json"), policy)?;

    let mut call = Command::new("nsenter");
    call.arg(namespace).arg("--").arg(engines.program("podman")?);
    let libraries = engines.libraries();
    let variables = [
        ("HOME", home.as_os_str()),
        ("CONTAINERS_CONF", containers.as_os_str()),
        ("CONTAINERS_STORAGE_CONF", storage.as_os_str()),
        ("LD_LIBRARY_PATH", libraries.as_os_str()),
    ];
    write_program(&folder.join("bin/podman"), &variables, &call)
}

fn search_path(engines: &ContainerEngines) -> Result<OsString> {
    let system = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        engines.folders().into_iter().chain(std::env::split_paths(&system)).collect();
    Ok(std::env::join_paths(folders)?)
}

/// A path as TOML's basic strings have it.
fn toml(path: &Path) -> String {
    json!(path.to_string_lossy()).to_string()
}

/// Writes a program that sets the variables and becomes `command` with its own arguments.
fn write_program(file: &Path, variables: &[(&str, &OsStr)], command: &Command) -> Result<()> {
    let mut script = OsString::from("#!/bin/sh\nexport");
    for (name, value) in variables {
        script.push(format!(" {name}="));
        script.push(quoted(value));
    }
    script.push("\nexec");
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        script.push(" ");
        script.push(quoted(word));
    }
    script.push(" \"$@\"\n");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(file)?;
    Ok(file.write_all(script.as_bytes())?)
}

/// As the shell takes it for one word.
fn quoted(word: &OsStr) -> OsString {
    let mut bytes = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => bytes.extend(b"'\\''"),
            byte => bytes.push(*byte),
        }
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_passes_on_its_arguments_and_any_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        let odd = "it's $HOME `odd`";
        let mut command = Command::new("sh");
        command.args(["-c", "printf '%s|' \"$SKEIN_ODD\" \"$@\"", "sh", odd]);
        write_program(&file, &[("SKEIN_ODD", OsStr::new(odd))], &command).unwrap();
        let said = Command::new("sh").arg(&file).args(["c  d", "$e"]).output().unwrap();
        let expected = format!("{odd}|{odd}|c  d|$e|");
        assert_eq!(String::from_utf8(said.stdout).unwrap(), expected);
    }
}

//! The same again as an ordinary user, without control groups and without a pool of uids.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use crate::support::{SIDECAR_VARIABLE, is_root, sidecar_binary};

/// A uid that nobody has.
const UID: u32 = 400_900;

#[test]
fn an_ordinary_users_sandboxes_are_isolated_and_limited_all_the_same() {
    if !is_root() {
        // All other tests were run as an ordinary user already.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: &Path, name: &str| {
        let to = folder.path().join(name);
        fs::copy(from, &to).unwrap();
        open(&to);
        to
    };
    open(folder.path());
    let tests = copy(&std::env::current_exe().unwrap(), "tests");
    let sidecar = copy(&sidecar_binary(), "sidecar");
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    std::os::unix::fs::chown(&temporary, Some(UID), Some(UID)).unwrap();

    let agents = std::env::var_os("SKEIN_AGENTS").map(|folder| ("SKEIN_AGENTS", folder));
    let status = Command::new(tests)
        .args([
            "--test-threads=2",
            "--show-output",
            "isolation::",
            "limits::",
            "files::",
            "lifecycle::",
        ])
        .arg("a_tool_really_runs")
        .env_clear()
        .envs(agents)
        .env(SIDECAR_VARIABLE, sidecar)
        .env("TMPDIR", &temporary)
        .uid(UID)
        .gid(UID)
        .current_dir("/")
        .status()
        .unwrap();
    assert!(status.success());
}

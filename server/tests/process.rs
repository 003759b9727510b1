//! The program: how it starts, what it says when it can't, how it ends.
#![cfg(feature = "embedded")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "it is all a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A command with a clean environment, free ports, and a folder of its own.
fn server(folder: &TempDir) -> Command {
    fs::create_dir_all(folder.path().join("site/pkg")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("SKEIN_ADDR", "127.0.0.1:0")
        .env("SKEIN_ORCHESTRATOR_ADDR", "127.0.0.1:0")
        .env("SKEIN_DATA", folder.path().join("data"))
        .env("SKEIN_SITE_ROOT", folder.path().join("site"))
        .env("SKEIN_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a start that fails prints: one line, no ready line, a failure.
fn refusal(command: &mut Command) -> String {
    let mut failing = Started(command.spawn().unwrap());
    let (mut said, mut ready) = (String::new(), String::new());
    // Ends with the program, or with the ready line of one that should not have started.
    BufReader::new(failing.0.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "", "it is not ready");
    failing.0.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(failing.0.wait().unwrap().code(), Some(1), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "one line: {said}");
    assert!(said.starts_with("error: "), "{said}");
    said
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} in {said}");
    }
}

struct Started(Child);

impl Started {
    /// The one line on standard output, with the address.
    fn address(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut complaint = String::new();
        if line.is_empty() {
            self.0.stderr.as_mut().unwrap().read_to_string(&mut complaint).unwrap();
        }
        let address = line.strip_prefix("Skein is ready: ");
        address.unwrap_or_else(|| panic!("{line:?} {complaint}")).trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn it_says_where_it_is_and_ends_well_on_either_signal() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut started = Started(server(&folder).spawn().unwrap());
        let address = started.address();
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "it listens");
        started.signal(signal);
        assert_eq!(started.0.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        started.0.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line, no more");
    }
}

#[test]
fn the_second_start_finds_what_the_first_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = || fs::read_to_string(folder.path().join("data/secrets.toml")).unwrap();
    let mut kept = None;
    for _ in 0..2 {
        let mut started = Started(server(&folder).spawn().unwrap());
        started.address();
        started.signal("TERM");
        assert_eq!(started.0.wait().unwrap().code(), Some(0));
        assert_eq!(kept.get_or_insert_with(secrets), &secrets());
    }
}

#[test]
fn a_data_folder_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("my data? 100%25 #1");
    let mut started = Started(server(&folder).env("SKEIN_DATA", &data).spawn().unwrap());
    started.address();
    assert!(data.join("skein.sqlite").exists());
}

#[test]
fn what_is_stored_in_a_folder_that_others_may_enter_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let mut started = Started(server(&folder).spawn().unwrap());
    started.address();
    let mut databases = 0;
    for entry in fs::read_dir(&data).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains(".sqlite") || name.contains(".db") {
            databases += 1;
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{entry:?}");
        }
    }
    assert!(databases >= 2, "the product's and the orchestrator's");
}

#[test]
fn a_taken_port_is_named_with_the_way_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let web = refusal(server(&folder).env("SKEIN_ADDR", &address));
    assert_says(&web, &[&address, "SKEIN_ADDR="]);
    let orchestrator = refusal(server(&folder).env("SKEIN_ORCHESTRATOR_ADDR", &address));
    assert_says(&orchestrator, &[&address, "SKEIN_ORCHESTRATOR_ADDR"]);
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refusal(server(&folder).env("SKEIN_DATA", &file));
    assert_says(&said, &[file.to_str().unwrap(), "SKEIN_DATA"]);
}

#[test]
fn a_site_that_was_not_built_says_how_to_build_it() {
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(server(&folder).env("SKEIN_SITE_ROOT", folder.path().join("nowhere")));
    assert_says(&said, &["cargo xtask run", "SKEIN_SITE_ROOT"]);
}

#[test]
fn a_database_that_cannot_be_opened_is_told_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["mysql://u:hunter2@h/d", "hunter2", "postgres://u:hunter2@127.0.0.1:1/d"] {
        let said = refusal(server(&folder).env("DATABASE_URL", url));
        assert_says(&said, &["DATABASE_URL", "sqlite:", "postgres:"]);
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn secrets_that_could_be_guessed_are_refused_without_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let good = "0123456789abcdef0123456789abcdef";
    for url in [None, Some("http://127.0.0.1:9")] {
        for (short, other) in [
            ("ORCHESTRATOR_SIGNING_SECRET", "TANGLE_API_KEY"),
            ("TANGLE_API_KEY", "ORCHESTRATOR_SIGNING_SECRET"),
        ] {
            let mut command = server(&folder);
            command.env(short, "hunter2").env(other, good);
            if let Some(url) = url {
                command.env("TANGLE_ORCHESTRATOR_URL", url);
            }
            let said = refusal(&mut command);
            assert_says(&said, &[short, "32 characters"]);
            assert!(!said.contains("hunter2") && !said.contains(good), "{said}");
        }
    }
}

#[test]
fn an_orchestrator_elsewhere_needs_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(server(&folder).env("TANGLE_ORCHESTRATOR_URL", "http://127.0.0.1:9"));
    assert_says(&said, &["TANGLE_API_KEY"]);
}

#[test]
fn an_orchestrator_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(server(&folder).env("SKEIN_SIDECAR_BINARY", "/nowhere/sidecar"));
    assert_says(&said, &["the orchestrator can't start", "sidecar"]);
    let shared = folder.path().join("data/secrets.toml");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o644)).unwrap();
    let said = refusal(&mut server(&folder));
    assert_says(&said, &["chmod 600", shared.to_str().unwrap()]);
}

#[test]
fn mistakes_in_the_configuration_are_told_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value) in [
        ("SKEIN_ADDR", "everywhere"),
        ("SKEIN_ORIGIN", "chat.example.com"),
        ("SKEIN_GUEST_CREDITS", "-1"),
        ("SKEIN_LOG_FORMAT", "xml"),
    ] {
        let output = server(&folder).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}");
        assert!(!folder.path().join("data").exists(), "{variable}");
    }
    for (variable, value) in
        [("SKEIN_TRUSTED_PROXIES", "proxy"), ("SKEIN_LOG", "a=b=c"), ("SKEIN_PRICES", "/nowhere")]
    {
        let said = refusal(server(&folder).env(variable, value));
        assert_says(&said, &[value]);
    }
}

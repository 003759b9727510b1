//! Starting, stopping, and what is left afterwards: nothing but the files.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use orchestrator::driver::{Driver, DriverError, ExitReason, Limits};
use sandbox_sdk::types::Exec;
use tokio::time::timeout;

use crate::support::{
    Sandbox, driver, driver_with, gone, is_root, processes_with, spec, there, unique_sleep,
};

#[tokio::test]
async fn killing_a_sandbox_leaves_no_process_and_keeps_the_files() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    sandbox.output(&format!("echo kept > kept; setsid sleep {sleep} > /dev/null 2>&1 &")).await;
    assert!(there(&sleep).await);
    let kept = sandbox.on_host("workspace/kept");
    sandbox.running.kill().await;
    assert_eq!(processes_with(&sleep), 0, "at once, not soon");
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept\n");
}

#[tokio::test]
async fn a_dropped_sandbox_is_killed() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    sandbox.output(&format!("sleep {sleep} > /dev/null 2>&1 &")).await;
    drop(sandbox);
    assert!(gone(&sleep).await);
}

#[tokio::test]
async fn a_stopped_sandbox_starts_again_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (driver, spec) = (driver_with(400_600..400_602).await, spec(&folder));
    let exec = |command: &str| Exec { command: command.into(), ..Exec::default() };
    let first = driver.start(&spec).await.unwrap();
    first
        .sidecar()
        .exec(exec("mkdir -p a && echo 1 > a/x && ln -s /etc/passwd l && touch ~/h"))
        .await
        .unwrap();
    let uid = fs::metadata(spec.root.join("workspace")).unwrap().uid();
    first.kill().await;
    // Somebody else has the uid meanwhile, so that the files get a new owner.
    let other_folder = tempfile::tempdir().unwrap();
    let mut other = crate::support::spec(&other_folder);
    other.id = "sandbox-other".into();
    let other = driver.start(&other).await.unwrap();
    let second = driver.start(&spec).await.unwrap();
    let result =
        second.sidecar().exec(exec("cat a/x && echo 2 > a/x && cat a/x && ls ~")).await.unwrap();
    assert_eq!(result.stdout, "1\n2\nh\n");
    let now = fs::metadata(spec.root.join("workspace")).unwrap().uid();
    if is_root() {
        assert_eq!((uid, now), (400_600, 400_601));
    } else {
        assert_eq!(uid, now);
    }
    assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), 0, "links are not followed");
    other.kill().await;
    second.kill().await;
}

#[tokio::test]
async fn a_tree_deeper_than_a_path_is_long_gets_its_new_owner_too() {
    let folder = tempfile::tempdir().unwrap();
    let (driver, spec) = (driver_with(400_602..400_604).await, spec(&folder));
    let run = async |sandbox: &orchestrator::driver::RunningSandbox, command: &str| {
        let exec = Exec { command: command.into(), ..Exec::default() };
        let result = sandbox.sidecar().exec(exec).await.unwrap();
        assert_eq!(result.exit_code, 0, "{result:?}");
    };
    let first = driver.start(&spec).await.unwrap();
    run(&first, "perl -e 'for (1..50) { mkdir \"d\" x 200 or die; chdir \"d\" x 200 or die }'")
        .await;
    first.kill().await;
    let other_folder = tempfile::tempdir().unwrap();
    let mut other = crate::support::spec(&other_folder);
    other.id = "sandbox-other".into();
    let other = driver.start(&other).await.unwrap();
    let second = driver.start(&spec).await.unwrap();
    let write = "perl -e 'for (1..50) { chdir \"d\" x 200 or die } open F, \">mine\" or die'";
    run(&second, write).await;
    other.kill().await;
    second.kill().await;
}

#[tokio::test]
async fn the_end_of_its_init_is_the_end_of_the_sandbox_and_is_told() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    sandbox.output(&format!("sleep {sleep} > /dev/null 2>&1 &")).await;
    assert!(there(&sleep).await);
    // An orphan's parent is the init.
    let init = parent_of_process_with(&sleep);
    rustix::process::kill_process(init, rustix::process::Signal::KILL).unwrap();
    let reason = timeout(Duration::from_secs(60), sandbox.running.exited()).await.unwrap();
    assert_eq!(reason, ExitReason::Exited(Some(137)));
    assert!(sandbox.running.sidecar().health().await.is_err());
    assert!(gone(&sleep).await);
}

fn parent_of_process_with(word: &str) -> rustix::process::Pid {
    let found = fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let arguments = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        if !arguments.split('\0').any(|argument| argument == word) {
            return None;
        }
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    });
    rustix::process::Pid::from_raw(found.unwrap()).unwrap()
}

#[tokio::test]
async fn sandboxes_die_with_an_orchestrator_that_is_killed() {
    let sleep = unique_sleep();
    let mut orchestrator = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "lifecycle::hold_a_sandbox"])
        .env(SLEEP_VARIABLE, &sleep)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(orchestrator.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("holding")));
    assert!(there(&sleep).await);
    orchestrator.kill().unwrap();
    orchestrator.wait().unwrap();
    assert!(gone(&sleep).await);
}

const SLEEP_VARIABLE: &str = "SKEIN_TEST_SLEEP";

/// The orchestrator of the test above, in a process of its own.
#[tokio::test]
#[ignore = "started by another test"]
async fn hold_a_sandbox() {
    let Some(sleep) = std::env::var_os(SLEEP_VARIABLE) else { return };
    let sandbox = Sandbox::start().await;
    let sleep = sleep.into_string().unwrap();
    sandbox.output(&format!("setsid sleep {sleep} > /dev/null 2>&1 &")).await;
    println!("holding");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_outlives_the_thread_that_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (driver, spec) = (driver().await, spec(&folder));
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::spawn(move || runtime.block_on(driver.start(&spec)).unwrap());
    let running = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.sidecar().health().await.unwrap();
    running.kill().await;
}

#[tokio::test]
async fn the_data_folder_stays_closed() {
    let sandbox = Sandbox::start().await;
    for path in ["", "workspace", "home", "run"] {
        let mode = fs::metadata(sandbox.on_host(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{path}");
    }
}

#[tokio::test]
async fn twenty_sandboxes_start_side_by_side() {
    let driver = driver().await;
    let folders: Vec<_> = (0..20).map(|_| tempfile::tempdir().unwrap()).collect();
    let starts = folders.iter().enumerate().map(|(number, folder)| {
        let (driver, mut spec) = (driver.clone(), spec(folder));
        spec.id = format!("sandbox-{number}");
        async move { driver.start(&spec).await.unwrap() }
    });
    let running = futures::future::join_all(starts).await;
    let owners: std::collections::BTreeSet<u32> = folders
        .iter()
        .map(|folder| fs::metadata(spec(folder).root.join("workspace")).unwrap().uid())
        .collect();
    assert_eq!(owners.len(), if is_root() { 20 } else { 1 });
    futures::future::join_all(running.into_iter().map(|sandbox| sandbox.kill())).await;
}

#[tokio::test]
async fn starting_is_quick() {
    let driver = driver().await;
    let mut times = Vec::new();
    let mut resident = String::new();
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let running = driver.start(&spec(&folder)).await.unwrap();
        times.push(started.elapsed());
        let command = "grep VmRSS /proc/1/status".into();
        resident =
            running.sidecar().exec(Exec { command, ..Exec::default() }).await.unwrap().stdout;
        running.kill().await;
    }
    times.sort();
    println!(
        "start: median {:?}, p95 {:?}; idle sidecar: {}",
        times[10],
        times[18],
        resident.trim()
    );
}

#[tokio::test]
async fn bad_specs_are_refused_before_anything_is_made() {
    let driver = driver().await;
    let folder = tempfile::tempdir().unwrap();
    let with = |change: fn(&mut orchestrator::driver::SandboxSpec)| {
        let mut spec = spec(&folder);
        change(&mut spec);
        spec
    };
    let bad = [
        with(|spec| spec.id = "../x".into()),
        with(|spec| spec.id = String::new()),
        with(|spec| spec.root = "relative".into()),
        with(|spec| drop(spec.env.insert("A=B".into(), "x".into()))),
        with(|spec| drop(spec.env.insert("A".into(), "x\0".into()))),
        with(|spec| spec.limits = Limits { memory_mb: 0, ..Limits::default() }),
        with(|spec| spec.limits = Limits { cpu_cores: f64::NAN, ..Limits::default() }),
        with(|spec| spec.limits = Limits { processes: u64::MAX, ..Limits::default() }),
    ];
    for spec in bad {
        let refused = driver.start(&spec).await;
        assert!(matches!(refused, Err(DriverError::InvalidSpec(_))), "{spec:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_report_says_what_is_in_force() {
    let driver = driver().await;
    let report = serde_json::to_value(driver.report().await.unwrap()).unwrap();
    println!("{report:#}");
    assert_eq!(report["kind"], "bubblewrap");
    assert_eq!(report["uid"], if is_root() { "pool" } else { "own" });
    assert!(!report["warnings"].as_array().unwrap().is_empty());
}

//! A disk that is full, and then is not.

use std::{fs, io, path::Path};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};

use super::{Bench, LogError, event, read_all};

/// As the mount takes it, and far more than what an empty database needs.
const SIZE: &std::ffi::CStr = c"mode=0700,size=4m";

/// A small disk of this thread's own; other processes and threads do not see it. `Err`: why there
/// can be none.
fn small_disk(folder: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can mount a small disk".to_owned());
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS);
    unshared.map_err(io::Error::from).map_err(|error| error.to_string())?;
    mount_change("/", private).map_err(|error| error.to_string())?;
    let mounted = mount("tmpfs", folder, "tmpfs", MountFlags::empty(), SIZE);
    mounted.map_err(|error| error.to_string())
}

/// Takes all room that is left.
fn fill(file: &Path) {
    use io::Write as _;
    let mut file = fs::File::create(file).unwrap();
    for size in [4096, 1] {
        let error = loop {
            if let Err(error) = file.write_all(&vec![7; size]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

#[test]
fn a_full_disk_refuses_what_it_can_not_hold_and_loses_nothing_that_it_holds() {
    // A thread that has no other: it goes to a place where only it is.
    let test = std::thread::spawn(|| {
        let folder = tempfile::tempdir().unwrap();
        if let Err(reason) = small_disk(folder.path()) {
            println!("skipped: {reason}");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fills_up_again_and_again(folder.path()));
        drop(runtime);
        unmount(folder.path(), UnmountFlags::DETACH).unwrap();
    });
    test.join().unwrap();
}

async fn fills_up_again_and_again(folder: &Path) {
    let mut bench = Bench::open(folder).await;
    let epoch = bench.logs.epoch().to_owned();
    let ballast = folder.join("ballast");
    let mut given: Vec<(u64, u64)> = Vec::new();
    for round in 0..3 {
        let log = bench.session("s", "u").await;
        let mut live = bench.logs.cursor(log.clone(), given.len() as u64);
        let known = given.len();
        for number in known..known + 3 {
            let (first, _) = bench.append(&log, vec![event(number, 1000)]).await;
            given.push((first, number as u64));
        }
        fill(&ballast);
        let mut refused = 0;
        for _ in 0..5 {
            // More than any page that stands already has room for.
            match bench.logs.append(&log, vec![event(9_999, 20_000); 4], None).await {
                Err(LogError::Store(error)) => {
                    assert!(error.is_of_the_disk(), "{error:?}");
                    refused += 1;
                }
                other => panic!("round {round}: {other:?}"),
            }
            assert_eq!(log.head().seq, given.len() as u64, "nobody is told of it");
        }
        assert_eq!(refused, 5);
        fs::remove_file(&ballast).unwrap();
        let number = given.len();
        let (first, _) = bench.append(&log, vec![event(number, 1000)]).await;
        assert_eq!(first, given.len() as u64 + 1, "the next number, with the next event");
        given.push((first, number as u64));
        assert_eq!(read_all(&mut live, 1000).await, given[known..]);
        let mut check = bench.store.begin().await.unwrap();
        let verdict = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut *check);
        let verdict: String = verdict.await.unwrap();
        assert_eq!(verdict, "ok");
        drop((check, live, log));
        // In order, or as a killed process leaves it.
        bench.close(round % 2 == 0).await;
        bench = Bench::open(folder).await;
        assert_eq!(bench.logs.epoch(), epoch);
        let log = bench.session("s", "u").await;
        let mut whole = bench.logs.cursor(log.clone(), 0);
        assert_eq!(read_all(&mut whole, 1000).await, given);
    }
    bench.close(true).await;
}

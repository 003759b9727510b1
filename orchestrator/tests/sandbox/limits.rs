//! A sandbox uses up what it can get.

use std::time::{Duration, Instant};

use orchestrator::driver::{Driver, Enforcement, Limits};
use sandbox_sdk::types::Exec;

use crate::support::{Sandbox, driver, gone, there, unique_sleep};

fn exec(command: &str, millis: u64) -> Exec {
    Exec { command: command.into(), timeout: Some(millis), ..Exec::default() }
}

#[tokio::test]
async fn a_time_out_ends_the_command_with_all_that_it_detached() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    let command = format!(
        "(setsid setsid sleep {sleep} &) ; setsid nohup sh -c 'sleep {sleep} & sleep {sleep}' & \
         echo started; sleep {sleep}"
    );
    let result = sandbox.exec(exec(&command, 10_000)).await.unwrap();
    assert_eq!((result.exit_code, result.timed_out), (124, true));
    assert_eq!(result.stdout, "started\n");
    assert_eq!(sandbox.processes_left().await, 0);
    assert!(gone(&sleep).await);
}

#[tokio::test]
#[cfg(target_arch = "x86_64")]
async fn a_time_out_ends_a_program_whose_first_thread_has_ended() {
    let sandbox = Sandbox::start().await;
    let program = "use threads; $| = 1; \
                   threads->create(sub { print \"up\\n\"; sleep 600 }); syscall(60, 0)";
    let result = sandbox.exec(exec(&format!("exec perl -e '{program}'"), 10_000)).await.unwrap();
    assert_eq!((result.timed_out, result.stdout.as_str()), (true, "up\n"), "{result:?}");
    assert_eq!(sandbox.processes_left().await, 0);
}

#[tokio::test]
async fn killing_the_process_above_a_command_ends_all_of_the_command() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    let command = format!("setsid -w sleep {sleep} & sleep 0.3; kill -9 $PPID; sleep {sleep}");
    let result = sandbox.exec(exec(&command, 60_000)).await.unwrap();
    assert_eq!((result.exit_code, result.timed_out), (137, false), "{result:?}");
    assert_eq!(sandbox.processes_left().await, 0);
    assert!(gone(&sleep).await);
}

#[tokio::test]
async fn a_caller_who_leaves_ends_the_command() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    let command = format!("setsid sleep {sleep} & sleep {sleep}");
    let left = tokio::time::timeout(Duration::from_millis(500), sandbox.sh(&command)).await;
    assert!(left.is_err());
    assert!(gone(&sleep).await);
}

#[tokio::test]
async fn what_runs_in_the_background_does_not_hold_up_the_answer_and_lives_on() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    let started = Instant::now();
    assert_eq!(sandbox.output(&format!("sleep {sleep} & echo done")).await, "done");
    assert!(started.elapsed() < Duration::from_secs(55));
    assert!(there(&sleep).await);
}

#[tokio::test]
async fn exit_codes_are_those_of_a_shell() {
    let sandbox = Sandbox::start().await;
    for (command, code) in [
        ("true", 0),
        ("exit 7", 7),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("kill -34 $$", 162),
        ("(sh -c 'kill -34 $$' &); sleep 0.5; exit 9", 9),
        ("no-such-command", 127),
        ("/etc/passwd", 126),
    ] {
        assert_eq!(sandbox.sh(command).await.exit_code, code, "{command}");
    }
}

#[tokio::test]
async fn a_fork_bomb_is_contained_and_other_sandboxes_do_not_notice() {
    let limits = Limits { processes: 64, ..Limits::default() };
    let (sandbox, other) = (Sandbox::limited(limits).await, Sandbox::start().await);
    let bomb = exec("bomb() { bomb | bomb & }; bomb; sleep 100", 3_000);
    let (bombed, answered) = tokio::join!(sandbox.exec(bomb), async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let started = Instant::now();
        assert_eq!(other.output("echo fine").await, "fine");
        started.elapsed()
    });
    println!("the other sandbox answered in {answered:?}");
    assert_ne!(bombed.unwrap().exit_code, 0);
    assert_eq!(sandbox.processes_left().await, 0);
    assert_eq!(sandbox.output("echo alive").await, "alive");
}

#[tokio::test]
async fn processes_are_counted_for_each_sandbox_alone() {
    let limits = Limits { processes: 20, ..Limits::default() };
    let many = Sandbox::limited(limits.clone()).await;
    let other = Sandbox::limited(limits).await;
    let fill = "for i in $(seq 40); do sleep 30 & done; wait";
    let (filled, echoed) = tokio::join!(many.exec(exec(fill, 20_000)), async {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        other.output("echo fine | cat").await
    });
    assert!(filled.unwrap().stderr.contains("Resource temporarily unavailable"));
    assert_eq!(echoed, "fine");
}

#[tokio::test]
async fn a_memory_hog_is_killed_and_the_sandbox_goes_on() {
    let limits = Limits { memory_mb: 96, ..Limits::default() };
    let sandbox = Sandbox::limited(limits).await;
    let result = sandbox.sh("tail /dev/zero; echo ended with $?").await;
    assert!(result.exit_code == 137 || result.stdout.contains("ended with 137"), "{result:?}");
    assert_eq!(sandbox.output("echo alive").await, "alive");
    let told = sandbox.sh("exec tail /dev/zero").await;
    assert_eq!(told.exit_code, 137);
    assert!(told.stderr.contains("96 MB"), "{}", told.stderr);
}

#[tokio::test]
async fn memory_files_count_as_memory() {
    let limits = Limits { memory_mb: 64, ..Limits::default() };
    let sandbox = Sandbox::limited(limits).await;
    let failed = sandbox.sh("head -c 200000000 /dev/zero > /tmp/big").await;
    assert_ne!(failed.exit_code, 0, "{failed:?}");
    assert_eq!(sandbox.output("echo alive").await, "alive");
}

#[tokio::test]
#[cfg(target_arch = "x86_64")]
async fn files_in_memory_that_no_process_has_mapped_count_as_memory() {
    let sandbox = Sandbox::limited(Limits { memory_mb: 96, ..Limits::default() }).await;
    // 319 makes a file in memory.
    let fill = "my @open; for (1..60) { my $name = \"x\"; my $fd = syscall 319, $name, 0; \
                open my $f, \">&=\", $fd or die; push @open, $f; print {$f} \"x\" x 4000000 or die; \
                select undef, undef, undef, 0.05 } sleep 30";
    let result = sandbox.sh(&format!("exec perl -e '{fill}'")).await;
    assert_eq!(result.exit_code, 137, "{result:?}");
    assert!(result.stderr.contains("96 MB"), "{}", result.stderr);
    assert_eq!(sandbox.output("echo alive").await, "alive");
}

#[tokio::test]
async fn shared_memory_counts_and_goes_with_the_hog_that_left_it() {
    let sandbox = Sandbox::limited(Limits { memory_mb: 96, ..Limits::default() }).await;
    // Nothing has it mapped but for the moment in which it is written.
    let fill = "for (1..60) { my $id = shmget 0, 4000000, 0600; defined $id or die; \
                shmwrite $id, \"x\" x 4000000, 0, 4000000 or die; \
                select undef, undef, undef, 0.05 } sleep 30";
    let result = sandbox.sh(&format!("exec perl -e '{fill}'")).await;
    assert_eq!(result.exit_code, 137, "{result:?}");
    assert!(result.stderr.contains("96 MB"), "{}", result.stderr);
    assert_eq!(sandbox.output("tail -n +2 /proc/sysvipc/shm | wc -l").await, "0");
}

#[tokio::test]
async fn shared_memory_that_fits_stays_for_the_next_command() {
    let sandbox = Sandbox::start().await;
    sandbox.output("perl -e 'defined shmget 7, 4096, 01600 or die'").await;
    assert_eq!(sandbox.output("tail -n +2 /proc/sysvipc/shm | wc -l").await, "1");
}

#[tokio::test]
async fn what_sockets_hold_is_bounded_where_the_kernel_limits_memory() {
    let memory = driver().await.report().await.unwrap().limits.memory;
    if !matches!(memory, Enforcement::CgroupV1 | Enforcement::CgroupV2) {
        return;
    }
    let sandbox = Sandbox::limited(Limits { memory_mb: 256, ..Limits::default() }).await;
    // Connections that nobody reads from, each with as large buffers as there may be.
    let fill = "use Socket; use Fcntl; my ($sum, @open) = 0; \
                socket my $l, AF_INET, SOCK_STREAM, 0 or die; \
                bind $l, pack_sockaddr_in(0, INADDR_LOOPBACK) or die; listen $l, 100 or die; \
                for (1..100) { \
                socket my $c, AF_INET, SOCK_STREAM, 0 or die; \
                setsockopt $c, SOL_SOCKET, SO_SNDBUF, 4000000; \
                connect $c, getsockname $l or die; accept my $s, $l or die; \
                setsockopt $s, SOL_SOCKET, SO_RCVBUF, 4000000; \
                fcntl $c, F_SETFL, O_NONBLOCK; push @open, $c, $s; \
                for (my $idle = 0; $idle < 3; ) { \
                if (my $n = syswrite $c, \"x\" x 100000) { $sum += $n; $idle = 0 } \
                else { $idle++; select undef, undef, undef, 0.002 } } } \
                print int $sum / 1000000";
    let result = sandbox.sh(&format!("exec perl -e '{fill}'")).await;
    // Version 2 counts it as memory, and may kill for it.
    let held = result.stdout.parse::<u64>();
    assert!(result.exit_code == 137 || held.is_ok_and(|held| held < 300), "{result:?}");
    assert_eq!(sandbox.output("echo alive").await, "alive");
}

#[tokio::test]
async fn a_disk_filler_is_stopped_told_why_and_can_clean_up() {
    let limits = Limits { disk_mb: 24, max_file_mb: 8, ..Limits::default() };
    let sandbox = Sandbox::limited(limits).await;
    let fill = "i=0; while true; do i=$((i+1)); head -c 4000000 /dev/zero > f$i; sleep 0.05; done";
    let result = sandbox.sh(fill).await;
    assert_eq!(result.exit_code, 137, "{result:?}");
    assert!(result.stderr.contains("disk limit of 24 MB"), "{}", result.stderr);
    let used = sandbox.output("du -sm /workspace | cut -f1").await;
    assert!(used.parse::<u64>().unwrap() < 1000, "{used} MB");

    assert_ne!(sandbox.sh("echo more > more && echo more >> more").await.exit_code, 0);
    assert!(sandbox.write("more.txt", "more").await.is_err());
    sandbox.output("rm -f f*").await;
    assert_eq!(sandbox.output("sleep 0.3; echo fine > fine && cat fine").await, "fine");
    assert_eq!(sandbox.write("more.txt", "more").await.unwrap(), 4);
}

/// Fills the disk, each time by something else than a file in a folder that can be read.
async fn fills_in_hiding(program: &str) {
    let limits = Limits { disk_mb: 24, max_file_mb: 8, ..Limits::default() };
    let sandbox = Sandbox::limited(limits).await;
    let result = sandbox.sh(&format!("perl -e '{program}'")).await;
    assert_eq!(result.exit_code, 137, "{result:?}");
    assert!(result.stderr.contains("disk limit of 24 MB"), "{}", result.stderr);
}

/// `$n` counts up to 100 times the limit, not as fast as the disk would allow.
const FILL: &str = "sub fill { print {$_[0]} \"x\" x 4000000 or die; \
                    select undef, undef, undef, 0.05 } for my $n (1..600)";

#[tokio::test]
async fn a_disk_is_watched_when_there_is_not_a_process_to_spare() {
    let limits = Limits { processes: 20, disk_mb: 24, max_file_mb: 8, ..Limits::default() };
    let sandbox = Sandbox::limited(limits).await;
    // The sidecar's own threads come and go meanwhile, and leave room for another one.
    let fork =
        "for (1..100) { my $pid = fork // 1; $pid or sleep 600; select undef, undef, undef, 0.01 }";
    let program = format!("{fork} {FILL} {{ open my $f, \">$n\" or die; fill $f }}");
    let result = sandbox.sh(&format!("perl -e '{program}'")).await;
    assert_eq!(result.exit_code, 137, "{result:?}");
    assert!(result.stderr.contains("disk limit of 24 MB"), "{}", result.stderr);
}

#[tokio::test]
async fn files_in_a_closed_folder_count() {
    fills_in_hiding(&format!(
        "mkdir \"x\"; {FILL} {{ chmod 0300, \"x\"; open my $f, \">x/$n\" or die; fill $f }}"
    ))
    .await;
}

#[tokio::test]
async fn files_below_a_longer_path_than_there_may_be_count() {
    fills_in_hiding(&format!(
        "for (1..40) {{ mkdir \"d\" x 200 or die; chdir \"d\" x 200 or die }} \
         {FILL} {{ open my $f, \">$n\" or die; fill $f }}"
    ))
    .await;
}

#[tokio::test]
async fn files_that_are_deleted_but_open_count() {
    fills_in_hiding(&format!(
        "my @open; {FILL} {{ open my $f, \">x\" or die; unlink \"x\"; fill $f; push @open, $f }}"
    ))
    .await;
}

#[tokio::test]
async fn a_single_file_has_a_largest_size() {
    let sandbox = Sandbox::limited(Limits { max_file_mb: 2, ..Limits::default() }).await;
    sandbox.output("head -c 2000000 /dev/zero > fits").await;
    sandbox.refusal("head -c 3000000 /dev/zero > big").await;
    assert_eq!(sandbox.output("stat -c %s big").await, (2 << 20).to_string());
}

#[tokio::test]
async fn open_files_are_limited() {
    let sandbox = Sandbox::limited(Limits { open_files: 64, ..Limits::default() }).await;
    assert_eq!(sandbox.output("ulimit -Hn").await, "64");
    sandbox.refusal("ulimit -n 65").await;
}

#[tokio::test]
async fn endless_output_is_cut_and_costs_no_memory() {
    let sandbox = Sandbox::start().await;
    let peak = "grep VmHWM /proc/1/status | tr -dc 0-9";
    let before: u64 = sandbox.output(peak).await.parse().unwrap();
    let result = sandbox.sh("head -c 100000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(result.exit_code, 0);
    assert!(result.truncated);
    assert_eq!(result.stdout.len(), 1 << 20);
    let after: u64 = sandbox.output(peak).await.parse().unwrap();
    println!("sidecar's peak: {before} kB before, {after} kB after");
    assert!(after < before + 24_000, "{before} kB before, {after} kB after");
}

#[tokio::test]
async fn output_that_is_not_text_is_shown_as_far_as_it_goes() {
    let sandbox = Sandbox::start().await;
    let result = sandbox.sh("printf 'a\\377b'; printf 'c' >&2").await;
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("a\u{fffd}b", "c"));
}

#[tokio::test]
async fn closed_output_ends_nothing() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.sh("exec >&- 2>&-; sleep 0.2; exit 3").await.exit_code, 3);
}

#[tokio::test]
async fn commands_take_a_folder_and_an_environment() {
    let sandbox = Sandbox::start().await;
    sandbox.output("mkdir -p a/b").await;
    let mut exec = exec("pwd; echo $X", 5_000);
    exec.cwd = Some("a/b".into());
    exec.env.insert("X".into(), "1".into());
    assert_eq!(sandbox.exec(exec).await.unwrap().stdout, "/workspace/a/b\n1\n");
}

#[tokio::test]
async fn bad_commands_are_refused_in_words() {
    use crate::support::status;
    let sandbox = Sandbox::start().await;
    let env = |name: &str| [(name.to_owned(), "x".to_owned())].into();
    let bad = [
        exec("", 1_000),
        exec("a\0b", 1_000),
        exec("true", 0),
        Exec { cwd: Some("no/such/folder".into()), ..exec("true", 1_000) },
        Exec { cwd: Some("/etc/passwd".into()), ..exec("true", 1_000) },
        Exec { env: env("A=B"), ..exec("true", 1_000) },
        Exec { env: env(""), ..exec("true", 1_000) },
    ];
    for command in bad {
        assert_eq!(status(sandbox.exec(command).await), 400);
    }
    assert_eq!(status(sandbox.exec(exec(&"x".repeat(5 << 20), 1_000)).await), 413);
}

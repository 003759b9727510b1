//! A sandbox tries what it must not be able to do.

use std::{fs, net::TcpListener, os::unix::fs::MetadataExt, process::Command};

use crate::support::{Sandbox, is_root};

#[tokio::test]
async fn the_hosts_folders_and_the_data_folder_are_not_there() {
    let sandbox = Sandbox::start().await;
    let secret = sandbox.folder.path().join("data/secrets.toml");
    fs::write(&secret, "api_key").unwrap();
    let secret = secret.display();
    assert!(sandbox.refusal(&format!("cat {secret}")).await.contains("No such file"));
    for path in ["/root", "/var/log", "/sys", "/boot", "/mnt", "/var/run/docker.sock"] {
        assert!(sandbox.refusal(&format!("ls {path}")).await.contains("No such file"), "{path}");
    }
    // The second name is a link to the first.
    assert_eq!(sandbox.output("ls /home").await, "agent\nuser");
    let run = sandbox.output("ls -A /run; find / -xdev -type s 2>/dev/null || true").await;
    assert_eq!(run, "", "no socket is in reach");
}

#[tokio::test]
async fn the_hosts_passwords_and_accounts_are_not_there() {
    let sandbox = Sandbox::start().await;
    for path in ["/etc/shadow", "/etc/sudoers", "/etc/ssh", "/etc/machine-id", "/etc/ssl/private"] {
        assert!(sandbox.refusal(&format!("ls {path}")).await.contains("No such file"), "{path}");
    }
    let accounts = sandbox.output("cut -d: -f1 /etc/passwd").await;
    assert_eq!(accounts.split_whitespace().collect::<Vec<_>>(), ["root", "agent", "nobody"]);
    assert_eq!(sandbox.output("hostname").await, "sandbox");
}

#[tokio::test]
async fn nothing_outside_of_its_own_folders_can_be_written() {
    let sandbox = Sandbox::start().await;
    for path in [
        "/x",
        "/usr/x",
        "/usr/bin/ls",
        "/etc/x",
        "/etc/passwd",
        "/dev/x",
        "/opt/x",
        "/run/x",
        "/opt/skein/config.json",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
    ] {
        sandbox.refusal(&format!("echo x >> {path}")).await;
    }
    for folder in ["/workspace", "/home/agent", "/tmp", "/dev/shm"] {
        sandbox.output(&format!("echo x > {folder}/x && cat {folder}/x")).await;
    }
    assert_eq!(fs::read_to_string(sandbox.on_host("workspace/x")).unwrap(), "x\n");
}

#[tokio::test]
async fn what_it_writes_does_not_belong_to_root() {
    let sandbox = Sandbox::start().await;
    sandbox.output("touch x && chmod u+s x").await;
    let owner = fs::metadata(sandbox.on_host("workspace/x")).unwrap().uid();
    assert_ne!(owner, 0);
    if is_root() {
        assert!((400_000..400_512).contains(&owner), "{owner}");
    }
}

#[tokio::test]
async fn other_processes_can_neither_be_seen_nor_signalled() {
    let sandbox = Sandbox::start().await;
    let mut host = Command::new("sleep").arg("600").spawn().unwrap();
    let seen = sandbox.output("ls /proc | grep -E '^[0-9]+$' | wc -l").await;
    assert!(seen.parse::<usize>().unwrap() < 10, "{seen}");
    sandbox.refusal(&format!("kill -9 {}", host.id())).await;
    // To everybody who can be reached: the command itself, at most.
    sandbox.sh("kill -9 -1").await;
    sandbox.sh("kill -9 1; kill -STOP 1").await;
    assert_eq!(host.try_wait().unwrap(), None, "the host's process lives");
    assert_eq!(sandbox.output("echo alive").await, "alive");
    host.kill().unwrap();
    host.wait().unwrap();
}

#[tokio::test]
async fn the_network_and_the_hosts_ports_cannot_be_reached() {
    let sandbox = Sandbox::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let interfaces = sandbox.output("tail -n +3 /proc/net/dev | cut -d: -f1").await;
    assert_eq!(interfaces, "lo");
    let connect = |address: &str| format!("timeout 50 bash -c 'exec 3<>/dev/tcp/{address}'");
    assert!(sandbox.refusal(&connect(&format!("127.0.0.1/{port}"))).await.contains("refused"));
    assert!(sandbox.refusal(&connect("192.0.2.1/80")).await.contains("unreachable"));
    assert!(listener.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn mounting_and_new_namespaces_are_refused() {
    let sandbox = Sandbox::start().await;
    sandbox.refusal("mount -t tmpfs none /tmp").await;
    sandbox.refusal("mount --bind /workspace /home/agent").await;
    sandbox.refusal("umount /tmp").await;
    for flag in ["-U", "-m", "-n", "-p", "-r"] {
        sandbox.refusal(&format!("unshare {flag} true")).await;
    }
    sandbox.refusal("chroot /workspace /bin/true").await;
    sandbox.refusal("bwrap --ro-bind / / true").await;
}

#[tokio::test]
#[cfg(target_arch = "x86_64")]
async fn dangerous_system_calls_are_refused() {
    let sandbox = Sandbox::start().await;
    let calls = [
        ("ptrace", 101),
        ("mount", 165),
        ("umount2", 166),
        ("pivot_root", 155),
        ("setns", 308),
        ("bpf", 321),
        ("perf_event_open", 298),
        ("userfaultfd", 323),
        ("io_uring_setup", 425),
        ("keyctl", 250),
        ("add_key", 248),
        ("kexec_load", 246),
        ("init_module", 175),
        ("finit_module", 313),
        ("process_vm_readv", 310),
        ("process_vm_writev", 311),
        ("open_by_handle_at", 304),
        ("clock_settime", 227),
        ("reboot", 169),
        ("open_tree", 428),
        ("open_tree_attr", 467),
        ("statmount", 457),
        ("listmount", 458),
        ("move_mount", 429),
        ("fsopen", 430),
        ("pidfd_getfd", 438),
        ("swapon", 167),
    ];
    for (name, number) in calls {
        let program = format!("perl -e 'exit(syscall({number}, 0, 0, 0, 0) == -1 ? $! : 0)'");
        assert_eq!(sandbox.sh(&program).await.exit_code, 1, "{name}: operation not permitted");
    }
    // getpid by its number among the x32 calls: no such call.
    let x32 = "perl -e 'exit(syscall(0x40000000 + 39) == -1 ? $! : 0)'";
    assert_eq!(sandbox.sh(x32).await.exit_code, 38);
    // Typing into the terminal.
    let tiocsti = "perl -e 'exit(syscall(16, 0, 0x5412, 0) == -1 ? $! : 0)'";
    assert_eq!(sandbox.sh(tiocsti).await.exit_code, 1);
}

#[tokio::test]
#[cfg(target_arch = "x86_64")]
async fn the_sidecar_keeps_its_limits_and_its_priority() {
    let sandbox = Sandbox::start().await;
    let calls = [
        ("prlimit64", "302, 1, 7, 1, 0"),
        ("prlimit64 of another process", "302, getppid(), 7, 1, 0"),
        ("setpriority", "141, 0, 1, 19"),
        ("setpriority of its group", "141, 1, 1, 19"),
        ("setpriority of its user", "141, 2, 0, 19"),
        ("ioprio_set", "251, 1, 1, 0"),
        ("ioprio_set of its user", "251, 3, 0, 0"),
        ("sched_setaffinity", "203, 1, 0, 0"),
        ("sched_setparam", "142, 1, 0"),
        ("sched_setscheduler", "144, 1, 0, 0"),
        ("sched_setattr", "314, 1, 0, 0"),
    ];
    for (name, arguments) in calls {
        let program = format!("perl -e 'exit(syscall({arguments}) == -1 ? $! : 0)'");
        assert_eq!(sandbox.sh(&program).await.exit_code, 1, "{name}: operation not permitted");
    }
    sandbox.refusal("prlimit --pid 1 --nofile=3:3").await;
    assert_eq!(sandbox.output("echo alive").await, "alive");
}

#[tokio::test]
#[cfg(target_arch = "x86_64")]
async fn programs_set_their_own_limits_and_priority() {
    let sandbox = Sandbox::start().await;
    let program = r#"
        my ($me, $limits, $cpus) = ($$, "\0" x 16, "\0" x 1024);
        my ($few, $batch) = (pack("QQ", 64, 64), pack("i", 0));
        syscall(302, 0, 7, $few, 0) == 0 or die "limits: $!";
        syscall(302, getppid(), 7, 0, $limits) == 0 or die "limits of another: $!";
        my $size = syscall(204, $me, 1024, $cpus);
        $size > 0 && syscall(203, $me, $size, $cpus) == 0 or die "processors: $!";
        syscall(144, $me, 3, $batch) == 0 or die "scheduler: $!";
        syscall(141, 0, $me, 19) == 0 or die "priority: $!";
        print "fine";
    "#;
    assert_eq!(sandbox.output(&format!("perl -e '{program}'")).await, "fine");
    sandbox.output("nice -n 1 sh -c 'ulimit -n 64 && renice -n 19 $$'").await;
}

#[tokio::test]
async fn sockets_are_only_of_the_usual_families() {
    let sandbox = Sandbox::start().await;
    let socket =
        |family: i32| format!("perl -e 'exit(socket(my $s, {family}, 3, 0) ? 0 : $! + 0)'");
    let families = [("AF_VSOCK", 40), ("AF_ALG", 38), ("AF_PACKET", 17), ("AF_XDP", 44)];
    for (name, family) in families {
        assert_eq!(sandbox.sh(&socket(family)).await.exit_code, 1, "{name}: not permitted");
    }
    for (family, kind) in [("AF_UNIX", 1), ("AF_INET", 1), ("AF_INET6", 2)] {
        let program = format!(
            "perl -MSocket=:all -e 'socket(my $s, {family}, {kind}, 0) or die $!' && echo fine"
        );
        assert_eq!(sandbox.output(&program).await, "fine", "{family}");
    }
    sandbox.output("perl -e 'socket(my $s, 16, 3, 0) or die $!'").await;
    let pair = "perl -MSocket=:all -e 'socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or die'";
    sandbox.output(pair).await;
}

#[tokio::test]
async fn new_processes_come_by_calls_that_are_checked() {
    let sandbox = Sandbox::start().await;
    // clone3, whose flags no filter can read: no such call.
    let clone3 = "perl -e 'exit(syscall(435, 0, 0) == -1 ? $! : 0)'";
    assert_eq!(sandbox.sh(clone3).await.exit_code, 38);
    assert_eq!(sandbox.output("echo a | cat").await, "a");
}

#[tokio::test]
async fn there_are_no_privileges_and_no_way_to_gain_any() {
    let sandbox = Sandbox::start().await;
    let status = sandbox
        .output("grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status")
        .await;
    let fields: Vec<_> = status.split_whitespace().collect();
    let none = "0000000000000000";
    assert_eq!(
        fields,
        ["CapPrm:", none, "CapEff:", none, "CapBnd:", none, "NoNewPrivs:", "1", "Seccomp:", "2"]
    );
    assert_eq!(sandbox.output("id -u").await, "1000");
    sandbox.refusal("su -c true root </dev/null").await;
}

#[tokio::test]
async fn the_environment_is_its_own() {
    let sandbox = Sandbox::with(|spec| {
        spec.env.insert("GREETING".into(), "hello".into());
    })
    .await;
    let names = sandbox.output("env | cut -d= -f1 | sort").await;
    let own = [
        "AGENT_WORKSPACE_ROOT",
        "GREETING",
        "HOME",
        "LANG",
        "OLDPWD",
        "PATH",
        "PWD",
        "SHELL",
        "SHLVL",
        "USER",
        "_",
    ];
    assert!(names.split_whitespace().all(|name| own.contains(&name)), "{names}");
    assert_eq!(sandbox.output("echo $GREETING").await, "hello");
}

#[tokio::test]
async fn the_sidecar_cannot_be_looked_into() {
    let sandbox = Sandbox::start().await;
    for file in ["environ", "mem", "maps", "fd/0", "root", "cwd"] {
        sandbox.refusal(&format!("head -c 1 /proc/1/{file}")).await;
    }
    let files = sandbox.output("ls /proc/self/fd | wc -l").await;
    assert!(files.parse::<usize>().unwrap() <= 4, "only its own three, and the folder: {files}");
}

#[tokio::test]
async fn two_sandboxes_share_nothing() {
    let (one, other) = (Sandbox::start().await, Sandbox::start().await);
    for folder in ["/workspace", "/home/agent", "/tmp", "/dev/shm"] {
        one.output(&format!("echo secret > {folder}/shared")).await;
        other.refusal(&format!("cat {folder}/shared")).await;
    }
    let owner = |sandbox: &Sandbox| fs::metadata(sandbox.on_host("workspace")).unwrap().uid();
    // Each has a driver of its own, as if two orchestrators ran here.
    assert_eq!(owner(&one) == owner(&other), !is_root());
    let server = "perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, \
                  LocalAddr => \"127.0.0.1:8099\") or die; sleep 60' > /dev/null 2>&1 &";
    one.output(server).await;
    let connect = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8099'";
    one.output(&format!(
        "for i in $(seq 500); do {connect} 2>/dev/null && exit; sleep 0.1; done; exit 1"
    ))
    .await;
    assert!(other.refusal(connect).await.contains("refused"));
    assert_eq!(other.output("pgrep -c perl || true").await, "0");
}

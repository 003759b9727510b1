//! Programs that take what they can get, in one sandbox. Another one works on meanwhile and keeps its
//! files, and nothing of the first outlives it.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Product, eventually};

/// A sandbox for the program, and one that has nothing to do with it.
struct Arena {
    product: Product,
    hostile: String,
    other: String,
    /// Stands among the arguments of all that the program is and starts.
    marker: String,
}

impl Arena {
    async fn open() -> Self {
        let product = Product::start().await;
        let small = json!({"resources": {"memoryMB": 256, "storageMb": 64, "cpuCores": 1}});
        let made = product.post("/v1/sandboxes", small).await.expect(201);
        let hostile = made["id"].as_str().unwrap().to_owned();
        product.sandbox_is(&hostile, "running").await;
        let other = product.sandbox().await;
        assert_eq!(product.exec(&other, "echo kept > kept; cat kept").await["stdout"], "kept\n");
        let marker = format!("marker-{}", uuid::Uuid::now_v7().simple());
        Self { product, hostile, other, marker }
    }

    /// What came of a program of Python. Somewhere in its midst, the other sandbox does its work.
    async fn attack(&self, program: &str, millis: u64) -> Value {
        let over = AtomicBool::new(false);
        let attack = async {
            let command = json!({
                "command": "exec python3 -c \"$PROGRAM\" \"$MARKER\"",
                "env": {"PROGRAM": program, "MARKER": self.marker},
                "timeout": millis,
            });
            let answer = self.product.post(&self.commands(), command).await;
            over.store(true, Ordering::Release);
            answer.expect(200)["result"].clone()
        };
        let work = async {
            eventually("the program runs, or has run", async || {
                (self.running() > 0 || over.load(Ordering::Acquire)).then_some(())
            })
            .await;
            let worked = self.product.exec(&self.other, "cat kept; echo more >> kept").await;
            assert_eq!((&worked["exitCode"], &worked["stdout"]), (&json!(0), &json!("kept\n")));
        };
        let (result, ()) = tokio::join!(attack, work);
        result
    }

    fn commands(&self) -> String {
        format!("/v1/sandboxes/{}/runtime/terminals/commands", self.hostile)
    }

    /// The program's processes, as the machine sees them.
    fn running(&self) -> usize {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        let is_marker = |argument: &[u8]| argument == self.marker.as_bytes();
        lines.filter(|line| line.split(|byte| *byte == 0).any(is_marker)).count()
    }

    async fn nothing_runs(&self) {
        eventually("the program is gone", async || (self.running() == 0).then_some(())).await;
    }

    /// Standard output of a command in the program's own sandbox, once it takes commands again.
    async fn output(&self, command: &str) -> String {
        eventually(&format!("{command:?} works"), async || {
            let answer = self.product.post(&self.commands(), json!({"command": command})).await;
            let result = &answer.body["result"];
            (result["exitCode"] == 0).then(|| result["stdout"].as_str().unwrap().to_owned())
        })
        .await
    }

    /// The sandbox can still be used, and goes with all that runs in it; the other one stays.
    async fn close(self) {
        assert_eq!(self.output("echo alive").await, "alive\n");
        let lasting = "setsid sh -c 'while :; do sleep 1; done'";
        let command = format!("{lasting} {} > /dev/null 2>&1 &", self.marker);
        self.output(&command).await;
        eventually("something runs", async || (self.running() > 0).then_some(())).await;
        self.product.delete(&format!("/v1/sandboxes/{}", self.hostile)).await.expect(200);
        self.nothing_runs().await;
        assert_eq!(self.product.exec(&self.other, "cat kept").await["stdout"], "kept\nmore\n");
        self.product.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends_with_its_time() {
    let arena = Arena::open().await;
    let bomb = "
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
";
    let result = arena.attack(bomb, 3_000).await;
    assert!([124, 137].contains(&result["exitCode"].as_i64().unwrap()), "{result}");
    arena.nothing_runs().await;
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_hog_is_killed_and_told_why() {
    let arena = Arena::open().await;
    let hog = "
held = []
while True:
    held.append(b'x' * (4 << 20))
";
    let result = arena.attack(hog, 60_000).await;
    assert_eq!(result["exitCode"], 137, "{result}");
    assert!(result["stderr"].as_str().unwrap().contains("256 MB"), "{result}");
    arena.nothing_runs().await;
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_filler_is_killed_and_can_clean_up() {
    let arena = Arena::open().await;
    let filler = "
import itertools, time
for number in itertools.count():
    with open(f'fill{number}', 'wb') as file:
        file.write(b'x' * 4_000_000)
    time.sleep(0.02)
";
    let result = arena.attack(filler, 60_000).await;
    assert_eq!(result["exitCode"], 137, "{result}");
    assert!(result["stderr"].as_str().unwrap().contains("disk limit of 64 MB"), "{result}");
    arena.nothing_runs().await;
    arena.output("rm -f fill*").await;
    assert_eq!(arena.output("echo fine > fine && cat fine").await, "fine\n");
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_of_output_are_read_and_cut() {
    let arena = Arena::open().await;
    let chatter = "
import sys
for _ in range(100):
    sys.stdout.write('x' * 1_000_000)
";
    let result = arena.attack(chatter, 60_000).await;
    assert_eq!(result["exitCode"], 0, "it was never held up for good");
    let kept = result["stdout"].as_str().unwrap().len();
    assert!((1..4 << 20).contains(&kept), "{kept} bytes");
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zombies_are_buried_with_their_maker() {
    let arena = Arena::open().await;
    let maker = "
import os, time
for _ in range(100):
    if os.fork() == 0:
        os._exit(0)
time.sleep(100000)
";
    let result = arena.attack(maker, 3_000).await;
    assert_eq!(result["exitCode"], 124, "{result}");
    let buried = async || {
        let left = arena.output("ls -d /proc/[0-9]* | wc -l").await;
        (left.trim().parse::<usize>().unwrap() < 20).then_some(())
    };
    eventually("the zombies are gone", buried).await;
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_every_request_to_end_ends() {
    let arena = Arena::open().await;
    let deaf = "
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
time.sleep(100000)
";
    let result = arena.attack(deaf, 3_000).await;
    assert_eq!(result["exitCode"], 124, "{result}");
    arena.nothing_runs().await;
    arena.close().await;
}

/// Leaves the session, the parent and the terminal behind.
const DAEMON: &str = "
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    for number in range(3):
        os.close(number)
    time.sleep(100000)
";

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_reaches_a_grandchild_that_made_itself_a_daemon() {
    let arena = Arena::open().await;
    let result = arena.attack(&format!("{DAEMON}\ntime.sleep(100000)\n"), 3_000).await;
    assert_eq!(result["exitCode"], 124, "{result}");
    arena.nothing_runs().await;
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_outlives_its_command_and_not_its_sandbox() {
    let arena = Arena::open().await;
    let result = arena.attack(DAEMON, 60_000).await;
    assert_eq!(result["exitCode"], 0, "{result}");
    eventually("the daemon runs", async || (arena.running() > 0).then_some(())).await;
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_may_hold_so_many_files_open_and_no_more() {
    let arena = Arena::open().await;
    let hog = "
held = []
try:
    while True:
        held.append(open('/dev/null'))
except OSError as error:
    print(len(held) < 1024, error.strerror)
";
    let result = arena.attack(hog, 60_000).await;
    assert_eq!(result["stdout"], "True Too many open files\n", "{result}");
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_not_be_huge_nor_seem_so() {
    let arena = Arena::open().await;
    let huge = "
with open('huge', 'wb', buffering=0) as file:
    for attempt in (lambda: file.truncate(1 << 40), lambda: file.write(b'x')):
        file.seek(1 << 40)
        try:
            attempt()
        except OSError as error:
            print(error.strerror)
";
    let result = arena.attack(huge, 60_000).await;
    assert_eq!(result["stdout"], "File too large\nFile too large\n", "{result}");
    assert_eq!(arena.output("stat -c %s huge").await, "0\n");
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_never_stands_still_does_not_hide_what_it_holds() {
    let arena = Arena::open().await;
    let restless = "
import itertools, os, threading, time
os.makedirs('a/b/c')
folder = os.open('a/b/c', os.O_RDONLY | os.O_DIRECTORY)
def move():
    while True:
        try:
            os.rename('a/b', 'b')
            os.rename('b', 'a/b')
        except OSError:
            pass
threading.Thread(target=move, daemon=True).start()
for number in itertools.count():
    file = os.open(f'f{number}', os.O_CREAT | os.O_WRONLY, dir_fd=folder)
    os.write(file, b'x' * 4_000_000)
    os.close(file)
    time.sleep(0.05)
";
    let result = arena.attack(restless, 60_000).await;
    assert_eq!(result["exitCode"], 137, "{result}");
    arena.nothing_runs().await;
    let megabytes = arena.output("du -sm /workspace | cut -f1").await;
    assert!(megabytes.trim().parse::<u64>().unwrap() < 1000, "{megabytes}");
    arena.output("rm -rf a b").await;
    arena.close().await;
}

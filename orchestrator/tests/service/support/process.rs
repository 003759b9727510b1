//! The real binary, to be killed without warning.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use orchestrator::Secrets;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use super::{Product, eventually};

/// An address that nobody has. Its port is below those that the kernel gives out by itself, so nobody
/// else is given it either before it is used.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = 20_000 + own + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if let Ok(free) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return free.local_addr().unwrap();
        }
    }
}

/// An orchestrator in a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) product: Product,
}

impl Process {
    /// Starts one on the data folder and waits until it answers.
    pub(crate) async fn start(data: &Path, pace_ms: u64) -> Self {
        Self::start_with(data, pace_ms, &[]).await
    }

    /// The same with more in its environment.
    pub(crate) async fn start_with(data: &Path, pace_ms: u64, env: &[(&str, &str)]) -> Self {
        Self::spawn(binary(), data, pace_ms, env, Stdio::inherit()).await
    }

    /// The same on a disk that can be filled: see [`set_file_limit`](Self::set_file_limit).
    pub(crate) async fn start_on_a_disk_that_fills(data: &Path, pace_ms: u64) -> Self {
        // Without the signal that ends who writes more than it may: then the write fails.
        // What it logs may go into a file.
        Self::spawn(binary_that_ignores("XFSZ"), data, pace_ms, &[], Stdio::null()).await
    }

    /// The same, as a script starts it that leaves it in the background.
    pub(crate) async fn start_in_the_background(data: &Path) -> Self {
        Self::spawn(binary_that_ignores("HUP INT QUIT"), data, 0, &[], Stdio::inherit()).await
    }

    /// The same with all that it can log, in a file.
    pub(crate) async fn start_logging(data: &Path, log: &Path) -> Self {
        Self::start_logging_with(data, log, &[]).await
    }

    /// The same with more in its environment.
    pub(crate) async fn start_logging_with(data: &Path, log: &Path, env: &[(&str, &str)]) -> Self {
        let log = Stdio::from(std::fs::File::create(log).unwrap());
        let all = [&[("SKEIN_LOG", "info,orchestrator=trace")][..], env].concat();
        Self::spawn(binary(), data, 0, &all, log).await
    }

    async fn spawn(
        mut command: Command,
        data: &Path,
        pace_ms: u64,
        env: &[(&str, &str)],
        log: Stdio,
    ) -> Self {
        let secrets = Secrets::load_or_create(data).unwrap();
        let address = free_address();
        let child = command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("SKEIN_DATA", data)
            .env("SKEIN_ORCHESTRATOR_ADDR", address.to_string())
            .env("SKEIN_DEMO_PACE_MS", pace_ms.to_string())
            // Whatever model server runs on this machine is none of the tests' business.
            .env("SKEIN_LOCAL_MODELS", "off")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let product = Product::at(format!("http://{address}"), secrets);
        let mut process = Self { child, product };
        eventually("the orchestrator answers", async || {
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none(), "the orchestrator ended: {ended:?}");
            let health = format!("{}/health", process.product.base);
            process
                .product
                .http
                .get(health)
                .send()
                .await
                .ok()
                .filter(|answer| answer.status() == 200)
        })
        .await;
        process
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it write files up to so many bytes, or as far as this process may.
    pub(crate) fn set_file_limit(&self, bytes: Option<u64>) {
        let pid = Pid::from_child(&self.child);
        let usual = getrlimit(Resource::Fsize);
        let limit = Rlimit { current: bytes.or(usual.current), ..usual };
        prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }

    /// The processes it has started, and those that they have.
    pub(crate) fn descendants(&self) -> Vec<u32> {
        let parents: Vec<_> = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok())
            .filter_map(|pid| Some((pid, parent_of(pid)?)))
            .collect();
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(&pid) = family.get(next) {
            let children = parents.iter().filter(|(_, parent)| *parent == pid);
            family.extend(children.map(|(child, _)| child));
            next += 1;
        }
        family.split_off(1)
    }

    /// Ends it as a power switch would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub(crate) async fn terminate(mut self) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        eventually("the orchestrator ends", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone, mostly.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_orchestrator"))
}

fn binary_that_ignores(signals: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("trap '' {signals}; exec \"$0\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_orchestrator")]);
    command
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which is in parentheses and may hold anything: the state, then the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

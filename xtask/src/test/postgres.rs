//! A Postgres of our own for the time of a test run.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::interrupt;
use crate::job::{self, Service};
use crate::tools::{Package, ensure_packages, find_program};
use crate::workspace::Workspace;

const PATIENCE: Duration = Duration::from_secs(60);

/// A database server in a temporary folder; dropping it ends it and removes the folder.
#[derive(Debug)]
pub(super) struct Postgres {
    server: Service,
    folder: PathBuf,
    url: String,
}

impl Postgres {
    /// Starts a server on a free loopback port.
    pub(super) fn start(workspace: &Workspace) -> Result<Self> {
        ensure_packages(&[Package::POSTGRES])?;
        let folder = std::env::temp_dir().join(format!("skein-postgres-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let started = Self::start_in(workspace, &folder);
        if started.is_err() {
            fs::remove_dir_all(&folder)?;
        }
        started
    }

    fn start_in(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let user = unprivileged_user(folder)?;
        let data = folder.join("data");
        let mut initdb = program("initdb", user.as_deref())?;
        initdb.args(["--auth=trust", "--username=skein", "--encoding=UTF8", "--no-sync", "-D"]);
        job::step("Postgres", initdb.arg(&data).current_dir(folder))?;

        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        fs::create_dir_all(workspace.scratch())?;
        let log = workspace.scratch().join("postgres.log");
        let mut postgres = program("postgres", user.as_deref())?;
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]).arg("-k").arg(folder);
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "jit=off", "max_connections=300"]
        {
            postgres.args(["-c", setting]);
        }
        postgres.current_dir(folder).stdout(File::create(&log)?).stderr(File::create(&log)?);
        let server = Service::start(&mut postgres)?;
        let url = format!("postgres://skein@127.0.0.1:{port}/postgres");
        let mut postgres = Self { server, folder: folder.to_owned(), url };
        postgres.wait_until_ready(port).with_context(|| {
            format!("Postgres did not start; its words are in {}", log.display())
        })?;
        Ok(postgres)
    }

    /// Where clients connect, as a superuser.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn wait_until_ready(&mut self, port: u16) -> Result<()> {
        let mut is_ready = program("pg_isready", None)?;
        is_ready.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        let started = Instant::now();
        while !job::succeeds(&mut is_ready) {
            interrupt::check()?;
            if self.server.ended()?.is_some() {
                bail!("it ended at once");
            }
            if started.elapsed() > PATIENCE {
                bail!("no answer after {} s", PATIENCE.as_secs());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is its fast shutdown: it does not wait for clients to leave.
        drop(self.server.stop(Signal::INT));
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Postgres refuses to run as root; root hands the folder to an account that has no rights.
fn unprivileged_user(folder: &Path) -> Result<Option<String>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let entry = ["postgres", "nobody"].iter().find_map(|name| {
        let start = format!("{name}:");
        accounts.lines().find(|line| line.starts_with(&start))
    });
    let fields: Vec<&str> = entry.context("no account to run Postgres as")?.split(':').collect();
    let [name, _, uid, gid, ..] = fields.as_slice() else { bail!("/etc/passwd is malformed") };
    std::os::unix::fs::chown(folder, Some(uid.parse()?), Some(gid.parse()?))?;
    Ok(Some((*name).to_owned()))
}

fn program(name: &str, user: Option<&str>) -> Result<Command> {
    let path = find_program(name).with_context(|| format!("Postgres has no {name}"))?;
    let Some(user) = user else { return Ok(Command::new(path)) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(path);
    Ok(command)
}

//! `run`, `build` and `watch`.

use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::Signal;

use crate::agents::{AGENTS, agents_folder};
use crate::console;
use crate::interrupt;
use crate::job::{self, Service};
use crate::site::{self, Profile};
use crate::tools::{Package, SiteTools, ensure_packages};
use crate::workspace::Workspace;

/// Says what the server logs.
const LOG: &str = "SKEIN_LOG";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Build with optimisation, as for a deployment. The first build takes several times longer.
    #[arg(long)]
    release: bool,
    /// Where the web server listens.
    #[arg(long, env = "SKEIN_ADDR", default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
    /// Where the built-in orchestrator listens.
    #[arg(long, env = "SKEIN_ORCHESTRATOR_ADDR", default_value = "127.0.0.1:4095")]
    orchestrator_addr: SocketAddr,
    /// An orchestrator that runs elsewhere; the built-in one stays off.
    #[arg(long, env = "TANGLE_ORCHESTRATOR_URL", hide_env_values = true)]
    orchestrator_url: Option<String>,
    /// Arguments for the server itself.
    #[arg(last = true)]
    server: Vec<String>,
}

/// `cargo xtask run`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let built_in = options.orchestrator_url.is_none();
    check_free(options.addr, "SKEIN_ADDR")?;
    if built_in {
        check_free(options.orchestrator_addr, "SKEIN_ORCHESTRATOR_ADDR")?;
        ensure_packages(&[Package::BUBBLEWRAP])?;
    }
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    let tools = SiteTools::ensure(workspace)?;
    site::build(workspace, &tools, profile)?;
    compile(workspace, profile, &[&workspace.bin_package])?;
    serve(workspace, options)
}

/// `cargo xtask build`.
pub(crate) fn build(workspace: &Workspace) -> Result<ExitCode> {
    let tools = SiteTools::ensure(workspace)?;
    site::build(workspace, &tools, Profile::Release)?;
    compile(workspace, Profile::Release, &[&workspace.bin_package])?;
    let server = workspace.binary(true, &workspace.bin_package);
    console::say(&format!("server  {}", workspace.short(&server).display()));
    console::say(&format!("site    {}", workspace.short(&workspace.site_root).display()));
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask watch`.
pub(crate) fn watch(workspace: &Workspace) -> Result<ExitCode> {
    if !job::succeeds(Command::new("cargo").args(["leptos", "--version"])) {
        // The newest that the pinned toolchain compiles.
        bail!("cargo-leptos is missing: `cargo install --locked cargo-leptos@0.3.10`");
    }
    ensure_packages(&[Package::BUBBLEWRAP])?;
    let tools = SiteTools::ensure(workspace)?;
    let mut command = workspace.cargo();
    command.args(["leptos", "watch"]).envs(tools.environment()?).env(AGENTS, agents_folder()?);
    wait(Service::start(&mut command)?)
}

/// Compiles some of the native programs.
///
/// All native crates are selected whichever program is wanted, so that every command compiles them
/// with the same features, and compiles them once.
pub(crate) fn compile(workspace: &Workspace, profile: Profile, programs: &[&str]) -> Result<()> {
    let mut command = workspace.cargo();
    command.arg("build");
    for program in programs {
        command.args(["--bin", program]);
    }
    if profile.release() {
        command.arg("--release");
    }
    job::step(&programs.join(" and "), &mut command)
}

fn serve(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let mut command = Command::new(workspace.binary(options.release, &workspace.bin_package));
    command
        .args(&options.server)
        .current_dir(&workspace.root)
        .env("SKEIN_ADDR", options.addr.to_string())
        .env("SKEIN_ORCHESTRATOR_ADDR", options.orchestrator_addr.to_string())
        .env("SKEIN_SITE_ROOT", &workspace.site_root)
        .env(AGENTS, agents_folder()?)
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    if let Some(url) = &options.orchestrator_url {
        command.env("TANGLE_ORCHESTRATOR_URL", url);
    }
    // Whoever looks on waits for the address; a line for each request would bury it.
    if std::env::var_os(LOG).is_none() && std::io::stderr().is_terminal() {
        command.env(LOG, "warn");
    }
    wait(Service::start(&mut command)?)
}

/// Waits for the server; a signal to us becomes one to it, and it is given time to end well.
fn wait(mut server: Service) -> Result<ExitCode> {
    match server.wait() {
        Ok(status) if status.success() => Ok(ExitCode::SUCCESS),
        // Why it ended is on the terminal already, in its own words.
        Ok(_) => Ok(ExitCode::FAILURE),
        Err(_) if interrupt::received() => {
            // The server says so as well, but not at every level of its log.
            console::say("stopping; once more to stop at once");
            server.stop(Signal::INT)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error),
    }
}

/// A taken port is told before the build, not after it.
fn check_free(address: SocketAddr, variable: &str) -> Result<()> {
    let taken = || {
        let next = SocketAddr::new(address.ip(), address.port().wrapping_add(1));
        format!(
            "cannot listen on {address}: stop what listens there, or choose another address, \
             as in `{variable}={next} cargo xtask run`"
        )
    };
    TcpListener::bind(address).map(drop).with_context(taken)
}

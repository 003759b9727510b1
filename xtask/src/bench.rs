//! `bench`: sizes and times beside their budgets. It informs; it never fails for being slow.

mod budgets;
mod table;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use crate::agents::{AGENTS, agents_folder};
use crate::console;
use crate::job;
use crate::run::compile;
use crate::site::{self, Profile, module_sizes};
use crate::test::browser;
use crate::tools::{Package, SiteTools, ensure_packages};
use crate::workspace::Workspace;
use table::Figure;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which benches: `orchestrator`, or what is handed to Playwright, as in `-- first-load`.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Names the benches that need no browser, and no program of the product.
const ORCHESTRATOR: &str = "orchestrator";
/// Names the file that benches write their figures to, one JSON object a line.
const OUTPUT: &str = "SKEIN_BENCH_OUTPUT";

/// `cargo xtask bench`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let output = workspace.scratch().join("bench.jsonl");
    fs::write(&output, "")?;
    let all = options.filter.is_empty();
    let (own, filter): (Vec<_>, Vec<_>) =
        options.filter.iter().partition(|name| name.as_str() == ORCHESTRATOR);
    let mut figures = Vec::new();
    let mut finished = true;
    if all || !filter.is_empty() {
        finished &= product(workspace, &filter, &output, &mut figures)?;
    }
    if all || !own.is_empty() {
        finished &= orchestrator(workspace, &output)?;
    }
    figures.extend(read(&output)?);
    table::print(&figures, &circumstances());
    if !finished {
        console::complain("some benches did not finish; their figures are missing");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures the product as it runs. `true`: all benches finished.
fn product(
    workspace: &Workspace,
    filter: &[&String],
    output: &Path,
    figures: &mut Vec<Figure>,
) -> Result<bool> {
    ensure_packages(&[Package::BUBBLEWRAP])?;
    let chromium = browser::chromium(workspace)?;
    let tools = SiteTools::ensure(workspace)?;
    site::build(workspace, &tools, Profile::Release)?;
    compile(workspace, Profile::Release, &["server", "orchestrator", "scripted-model"])?;
    for (name, bytes) in module_sizes(workspace)? {
        figures.push(Figure { name, value: Ok(bytes as f64) });
    }
    let mut command = browser::playwright(workspace)?;
    command.args(["test", "--config=bench.config.ts", "--reporter=list"]).args(filter);
    browser::set_environment(&mut command, workspace, true, chromium.as_deref());
    command.env(OUTPUT, output).env(AGENTS, agents_folder()?);
    Ok(job::pass_through(&mut command, |_| true)?.success())
}

/// Measures the orchestrator: its two gateways from inside of its process, since nothing but a sandbox can reach the
/// models' from outside, and a whole process.
fn orchestrator(workspace: &Workspace, output: &Path) -> Result<bool> {
    ensure_packages(&[Package::BUBBLEWRAP])?;
    let mut command = workspace.cargo();
    command
        .args(["test", "--release", "--package=orchestrator", "--lib", "--test=service", "--"])
        // One after the other, each with the machine to itself.
        .args(["--ignored", "--nocapture", "--test-threads=1", "figures_of"])
        .env(OUTPUT, output);
    Ok(job::pass_through(&mut command, |_| true)?.success())
}

/// Figures, one JSON object a line.
fn read(file: &Path) -> Result<Vec<Figure>> {
    let text = fs::read_to_string(file)?;
    text.lines()
        .map(|line| {
            let figure: Value = serde_json::from_str(line)?;
            let name = figure["name"].as_str().context("a figure without a name")?.to_owned();
            let value = match figure["missing"].as_str() {
                Some(why) => Err(why.to_owned()),
                None => Ok(figure["value"].as_f64().context("a figure without a value")?),
            };
            Ok(Figure { name, value })
        })
        .collect()
}

/// Figures mean little without the machine that they were taken on.
fn circumstances() -> String {
    let first_line = |text: String| text.lines().next().unwrap_or_default().trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    let commit = job::capture(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    let commit = commit.map(first_line).unwrap_or_else(|_| "no commit".to_owned());
    format!("{cores} cores, load {load}, {commit}")
}

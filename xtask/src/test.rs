//! `test`: every layer, one summary.

pub(crate) mod browser;
mod engines;
mod postgres;
mod rust;
mod summary;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::agents;
use crate::tools::{Package, ensure_packages};
use crate::workspace::Workspace;
use engines::Engines;
use summary::Summary;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run one part only.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Which tests: handed to `cargo test` or to Playwright. Needs `--only`.
    #[arg(last = true, requires = "only")]
    filter: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The crates' own tests, on SQLite and on Postgres.
    Rust,
    /// The product in a browser.
    E2e,
    /// The site as it is deployed, in a browser.
    Deployed,
}

/// `cargo xtask test`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let wants = |part| options.only.is_none_or(|only| only == part);
    let mut summary = Summary::default();
    ensure_packages(&[Package::BUBBLEWRAP])?;
    if wants(Part::Rust) {
        // Who runs some tests alone has what these need, or sees that they were skipped.
        if options.filter.is_empty() {
            install_agents(&mut summary)?;
        }
        let postgres = postgres::Postgres::start(workspace)?;
        let engines = start_engines(workspace, &mut summary)?;
        let folder = engines.as_ref().map(Engines::folder);
        rust::run(workspace, postgres.url(), folder, &options.filter, &mut summary)?;
    }
    for (part, suite) in [(Part::E2e, browser::EVERYTHING), (Part::Deployed, browser::DEPLOYED)] {
        if wants(part) {
            let chromium = browser::chromium(workspace)?;
            browser::run(workspace, suite, chromium.as_deref(), &options.filter, &mut summary)?;
        }
    }
    summary.print();
    Ok(if summary.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Without a registry the tests of the agents can't run. All others can.
fn install_agents(summary: &mut Summary) -> Result<()> {
    if let Err(error) = agents::install_all() {
        crate::interrupt::check()?;
        crate::console::complain(&format!("{error:#}"));
        summary.note(format!("agents could not be installed: {error:#}"));
    }
    Ok(())
}

/// Most machines can't start them. Only the tests of the container drivers need them.
fn start_engines(workspace: &Workspace, summary: &mut Summary) -> Result<Option<Engines>> {
    match Engines::start(workspace) {
        Ok(engines) => {
            engines.missing().iter().for_each(|words| summary.note(words.clone()));
            Ok(Some(engines))
        }
        Err(error) => {
            crate::interrupt::check()?;
            summary.note(format!("no container engine could be started: {error:#}"));
            Ok(None)
        }
    }
}

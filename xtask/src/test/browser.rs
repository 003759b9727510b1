//! The product in a browser: real binaries, real sandboxes, headless Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::summary::{Layer, Summary};
use crate::agents::{AGENTS, agents_folder};
use crate::job;
use crate::run::compile;
use crate::site::{self, Profile};
use crate::tools::{Package, SiteTools, browser_test_modules, ensure_packages};
use crate::workspace::Workspace;

/// One of the two ways in which the product is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suite {
    name: &'static str,
    profile: Profile,
    config: &'static str,
}

/// All that a person does. The dev profile: only there does the page say when what it hydrates
/// differs.
pub(super) const EVERYTHING: Suite =
    Suite { name: "browser", profile: Profile::Dev, config: "playwright.config.ts" };
/// What only the site that is deployed has: parts, hashes in names, compressed copies.
pub(super) const DEPLOYED: Suite = Suite {
    name: "browser, deployed site",
    profile: Profile::Release,
    config: "deployed.config.ts",
};

/// The browser to test with: the system's, else the one that Playwright brings.
///
/// `None` leaves the choice to Playwright.
pub(crate) fn chromium(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if Package::CHROMIUM.find().is_none() {
        let packaged = ensure_packages(&[Package::CHROMIUM]);
        if packaged.is_err() {
            let mut install = playwright(workspace)?;
            install.args(["install", "chromium"]);
            if job::step("Playwright's Chromium", &mut install).is_err() {
                packaged?;
            }
        }
    }
    Ok(Package::CHROMIUM.find())
}

/// Builds what the tests start, and runs them.
pub(super) fn run(
    workspace: &Workspace,
    suite: Suite,
    chromium: Option<&Path>,
    filter: &[String],
    summary: &mut Summary,
) -> Result<()> {
    let started = Instant::now();
    if let Err(error) = build(workspace, suite.profile) {
        crate::interrupt::check()?;
        crate::console::complain(&format!("{error:#}"));
        summary.add_broken(&format!("{} (did not build)", suite.name), started.elapsed());
        return Ok(());
    }
    let report = workspace.scratch().join("browser.json");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let mut command = playwright(workspace)?;
    command
        .args(["test", "--reporter=list,json", "--config", suite.config])
        .args(filter)
        .env("PLAYWRIGHT_JSON_OUTPUT_FILE", &report);
    set_environment(&mut command, workspace, false, chromium);
    command.env(AGENTS, agents_folder()?);
    let status = job::pass_through(&mut command, |_| true)?;
    match read_report(&report, suite.name) {
        Ok(mut layer) => {
            layer.time = started.elapsed();
            if !status.success() && layer.failed == 0 {
                layer.failed = 1;
            }
            summary.add(layer);
        }
        Err(error) => {
            crate::console::complain(&format!("{error:#}"));
            summary.add_broken(suite.name, started.elapsed());
        }
    }
    Ok(())
}

/// The site as the suite wants it. The programs are the same for both: what differs is the site.
fn build(workspace: &Workspace, profile: Profile) -> Result<()> {
    site::build(workspace, &SiteTools::ensure(workspace)?, profile)?;
    compile(workspace, Profile::Dev, &["server", "orchestrator", "scripted-model"])
}

/// Tells the fixtures what is under test.
pub(crate) fn set_environment(
    command: &mut Command,
    workspace: &Workspace,
    release: bool,
    chromium: Option<&Path>,
) {
    command
        .env("SKEIN_TEST_SERVER", workspace.binary(release, "server"))
        .env("SKEIN_TEST_ORCHESTRATOR", workspace.binary(release, "orchestrator"))
        .env("SKEIN_TEST_MODEL", workspace.binary(release, "scripted-model"))
        .env("SKEIN_TEST_SITE", &workspace.site_root);
    if let Some(chromium) = chromium {
        command.env("SKEIN_TEST_CHROMIUM", chromium);
    }
}

/// Playwright's command line, in the folder of the browser tests.
pub(crate) fn playwright(workspace: &Workspace) -> Result<Command> {
    let modules = browser_test_modules(workspace)?;
    let mut command = Command::new("node");
    command
        .arg(modules.join("@playwright/test/cli.js"))
        .current_dir(workspace.root.join("end2end"));
    Ok(command)
}

fn read_report(file: &Path, name: &str) -> Result<Layer> {
    let text = fs::read_to_string(file).context("Playwright wrote no report")?;
    let report: Value = serde_json::from_str(&text)?;
    let count = |name: &str| {
        report.pointer(&format!("/stats/{name}")).and_then(Value::as_u64).unwrap_or_default()
    };
    Ok(Layer {
        name: name.to_owned(),
        // Flaky: passed at its second try, which only CI gives.
        passed: count("expected") + count("flaky"),
        failed: count("unexpected"),
        skipped: count("skipped"),
        ..Layer::default()
    })
}

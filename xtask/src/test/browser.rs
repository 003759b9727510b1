//! The product in a browser: real binaries, real sandboxes, headless Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::summary::{Layer, Summary};
use crate::job;
use crate::run::compile;
use crate::site::{self, Profile};
use crate::tools::{Package, SiteTools, browser_test_modules, ensure_packages};
use crate::workspace::Workspace;

const NAME: &str = "browser";

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
    tools: &SiteTools,
    chromium: Option<&Path>,
    filter: &[String],
    summary: &mut Summary,
) -> Result<()> {
    let started = Instant::now();
    // The dev profile: only there does the page say when what it hydrates differs.
    if let Err(error) = build(workspace, tools) {
        crate::interrupt::check()?;
        crate::console::complain(&format!("{error:#}"));
        summary.add_broken(&format!("{NAME} (did not build)"), started.elapsed());
        return Ok(());
    }
    let report = workspace.scratch().join("browser.json");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let mut command = playwright(workspace)?;
    command
        .args(["test", "--reporter=list,json"])
        .args(filter)
        .env("PLAYWRIGHT_JSON_OUTPUT_FILE", &report);
    set_environment(&mut command, workspace, false, chromium);
    let status = job::pass_through(&mut command, |_| true)?;
    match read_report(&report) {
        Ok(mut layer) => {
            layer.time = started.elapsed();
            if !status.success() && layer.failed == 0 {
                layer.failed = 1;
            }
            summary.add(layer);
        }
        Err(error) => {
            crate::console::complain(&format!("{error:#}"));
            summary.add_broken(NAME, started.elapsed());
        }
    }
    Ok(())
}

fn build(workspace: &Workspace, tools: &SiteTools) -> Result<()> {
    site::build(workspace, tools, Profile::Dev)?;
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

fn read_report(file: &Path) -> Result<Layer> {
    let text = fs::read_to_string(file).context("Playwright wrote no report")?;
    let report: Value = serde_json::from_str(&text)?;
    let count = |name: &str| {
        report.pointer(&format!("/stats/{name}")).and_then(Value::as_u64).unwrap_or_default()
    };
    Ok(Layer {
        name: NAME.to_owned(),
        // Flaky: passed at its second try, which only CI gives.
        passed: count("expected") + count("flaky"),
        failed: count("unexpected"),
        skipped: count("skipped"),
        ..Layer::default()
    })
}

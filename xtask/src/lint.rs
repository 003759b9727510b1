//! `lint`: everything that can be said about the code without running it.

mod advisories;
mod crypto;

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::console;
use crate::interrupt;
use crate::job;
use crate::tools::{SiteTools, browser_test_modules, cargo_deny};
use crate::workspace::Workspace;

/// The parts of the SDK that others may choose one by one.
const SDK_FEATURES: [&str; 4] = ["types", "client", "auth", "gateway"];

/// `cargo xtask lint`.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let mut failures = 0;
    let mut check = |result: Result<()>| -> Result<()> {
        interrupt::check()?;
        if let Err(error) = result {
            failures += 1;
            console::complain(&format!("{error:#}"));
        }
        Ok(())
    };
    check(cargo(workspace, "format", &["fmt", "--all", "--check"]))?;
    check(crypto::one_provider(workspace))?;
    check(clippy(workspace))?;
    SiteTools::ensure(workspace)?;
    check(clippy_wasm(workspace))?;
    for feature in SDK_FEATURES {
        check(sdk_alone(workspace, feature))?;
    }
    check(documentation(workspace))?;
    check(type_check(workspace))?;
    check(deny(workspace))?;
    if failures > 0 {
        console::say(&format!("lint: {failures} of the checks failed"));
        return Ok(ExitCode::FAILURE);
    }
    console::say("lint: all checks passed");
    Ok(ExitCode::SUCCESS)
}

fn cargo(workspace: &Workspace, name: &str, arguments: &[&str]) -> Result<()> {
    job::step(name, workspace.cargo().args(arguments))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    cargo(workspace, "clippy, native", &["clippy", "--all-targets", "--", "-D", "warnings"])
}

/// The browser's half: `frontend`, and with it `app` and the SDK's gateway.
fn clippy_wasm(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo_wasm("clippy");
    command.args(["--package", &workspace.lib_package, "--lib", "--no-default-features"]);
    job::step("clippy, browser", command.args(["--", "-D", "warnings"]))
}

fn sdk_alone(workspace: &Workspace, feature: &str) -> Result<()> {
    let arguments = ["check", "--package", "sandbox-sdk", "--no-default-features", "--features"];
    let mut command = workspace.cargo();
    command.args(arguments).arg(feature);
    job::step(&format!("sandbox-sdk with `{feature}` only"), &mut command)
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["doc", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings");
    job::step("documentation", &mut command)
}

fn type_check(workspace: &Workspace) -> Result<()> {
    let modules = browser_test_modules(workspace)?;
    let mut command = Command::new(modules.join(".bin/tsc"));
    command.arg("--noEmit").current_dir(workspace.root.join("end2end"));
    job::step("types of the browser tests", &mut command)
}

fn deny(workspace: &Workspace) -> Result<()> {
    let program = cargo_deny()?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(&workspace.root).args(arguments);
        command
    };
    let offline = ["check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    job::step("licences, bans and sources", &mut deny(&offline))?;
    advisories::check(deny)
}

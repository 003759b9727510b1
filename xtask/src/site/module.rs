//! The browser's module: compiled by cargo, packed by wasm-bindgen, shrunk by wasm-opt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Profile;
use super::stamp::Stamp;
use crate::job;
use crate::tools::SiteTools;
use crate::workspace::{WASM, Workspace};

/// Compiles the `frontend` crate and returns the raw module.
pub(super) fn compile(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let mut command = workspace.cargo_wasm("build");
    command.args(["--package", &workspace.lib_package, "--lib", "--no-default-features"]);
    command.arg("--profile");
    command.arg(if profile.release() { &workspace.lib_release_profile } else { "dev" });
    job::step("browser module", &mut command)?;
    Ok(compiled_path(workspace, profile))
}

/// Where cargo puts the raw module.
pub(super) fn compiled_path(workspace: &Workspace, profile: Profile) -> PathBuf {
    let folder = if profile.release() { &workspace.lib_release_profile } else { "debug" };
    let file = format!("{}.wasm", workspace.lib_package.replace('-', "_"));
    workspace.wasm_target().join(WASM).join(folder).join(file)
}

/// Turns the raw module into what a browser loads: `NAME.js` and `NAME.wasm` in `folder/pkg`.
pub(super) fn pack(
    workspace: &Workspace,
    tools: &SiteTools,
    profile: Profile,
    wasm: &Path,
    folder: &Path,
) -> Result<()> {
    let mut stamp = Stamp::new(folder.join("module.stamp"));
    stamp.setting(&tools.wasm_bindgen);
    stamp
        .file(wasm)
        .with_context(|| format!("cargo made no {}", workspace.short(wasm).display()))?;
    let pkg = folder.join("pkg");
    let packed = pkg.join(format!("{}.wasm", workspace.name));
    if stamp.is_fresh() && packed.is_file() {
        return Ok(());
    }
    stamp.clear()?;
    let mut bind = Command::new(&tools.wasm_bindgen);
    bind.args(["--target", "web", "--no-typescript", "--out-name", &workspace.name]);
    bind.arg("--out-dir").arg(&pkg).arg(wasm);
    job::step("wasm-bindgen", &mut bind)?;
    // Leptos' script tag asks for this name.
    let bound = pkg.join(format!("{}_bg.wasm", workspace.name));
    if profile.release() {
        shrink(tools, &bound, &packed)?;
        fs::remove_file(&bound)?;
    } else {
        fs::rename(&bound, &packed)?;
    }
    stamp.save()
}

fn shrink(tools: &SiteTools, from: &Path, to: &Path) -> Result<()> {
    let mut optimise = tools.node_program("wasm-opt");
    // What rustc's default for the target uses; every browser of the last years has it.
    let features = [
        "--enable-bulk-memory",
        "--enable-nontrapping-float-to-int",
        "--enable-sign-ext",
        "--enable-mutable-globals",
        "--enable-reference-types",
        "--enable-multivalue",
    ];
    optimise.arg("-Oz").args(features).arg(from).arg("-o").arg(to);
    job::step("wasm-opt", &mut optimise)
}

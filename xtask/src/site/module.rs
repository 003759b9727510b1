//! The browser's module: compiled by cargo, cut into its parts, packed by wasm-bindgen, shrunk by
//! wasm-opt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Profile;
use super::parts;
use super::stamp::{Stamp, files_below};
use crate::job;
use crate::tools::SiteTools;
use crate::workspace::{WASM, Workspace};

/// What a module must be built with to be cut into parts. The linker says what refers to what, and
/// does not make one of strings that end alike: what two parts share stays in the first.
const TO_BE_CUT: &str = r#"target.wasm32-unknown-unknown.rustflags = ["--cfg=split", "-Clink-arg=--emit-relocs", "-Clink-arg=-O0"]"#;

/// Compiles the `frontend` crate and returns the raw module.
pub(super) fn compile(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let mut command = workspace.cargo_wasm("build");
    command.args(["--package", &workspace.lib_package, "--lib", "--no-default-features"]);
    command.arg("--profile");
    command.arg(if profile.release() { &workspace.lib_release_profile } else { "dev" });
    if profile.release() {
        command.args(["--config", TO_BE_CUT]);
    }
    job::step("browser module", &mut command)?;
    Ok(compiled_path(workspace, profile))
}

/// Where cargo puts the raw module.
pub(super) fn compiled_path(workspace: &Workspace, profile: Profile) -> PathBuf {
    let folder = if profile.release() { &workspace.lib_release_profile } else { "debug" };
    let file = format!("{}.wasm", workspace.lib_package.replace('-', "_"));
    workspace.wasm_target().join(WASM).join(folder).join(file)
}

/// Turns the raw module into what a browser loads, in `folder/pkg`: `NAME.js` and `NAME.wasm`, and in
/// a release build the parts of the module.
pub(super) fn pack(
    workspace: &Workspace,
    tools: &SiteTools,
    profile: Profile,
    wasm: &Path,
    folder: &Path,
) -> Result<()> {
    let cutter = profile.release().then(|| tools.wasm_split(workspace)).transpose()?;
    let mut stamp = Stamp::new(folder.join("module.stamp"));
    stamp.setting((&tools.wasm_bindgen, &cutter));
    stamp
        .file(wasm)
        .with_context(|| format!("cargo made no {}", workspace.short(wasm).display()))?;
    let pkg = folder.join("pkg");
    let packed = pkg.join(format!("{}.wasm", workspace.name));
    if stamp.is_fresh() && packed.is_file() {
        return Ok(());
    }
    stamp.clear()?;
    // A part may have another name by now, or be none.
    for old in files_below(&pkg)?.iter().filter(|file| is_wasm(file)) {
        fs::remove_file(old)?;
    }
    // Leptos' script tag asks for `NAME.wasm`.
    let bound = pkg.join(format!("{}_bg.wasm", workspace.name));
    if let Some(cutter) = cutter {
        let cut = folder.join("parts");
        parts::cut(&cutter, wasm, &workspace.name, &cut)?;
        let first = cut.join(format!("{}.wasm", workspace.name));
        // Parts call each other through the table of functions, by the names that the linker gave.
        bind(workspace, tools, &["--keep-lld-exports", "--no-demangle"], &first, &pkg)?;
        parts::join_loader(&cut, &pkg.join(format!("{}.js", workspace.name)))?;
        for part in files_below(&cut)?.iter().filter(|file| is_wasm(file) && **file != first) {
            shrink(tools, part, &pkg.join(part.file_name().unwrap_or_default()))?;
        }
        shrink(tools, &bound, &packed)?;
        fs::remove_file(&bound)?;
    } else {
        bind(workspace, tools, &[], wasm, &pkg)?;
        fs::rename(&bound, &packed)?;
    }
    stamp.save()
}

fn is_wasm(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "wasm")
}

/// Writes `NAME.js` and `NAME_bg.wasm`.
fn bind(
    workspace: &Workspace,
    tools: &SiteTools,
    flags: &[&str],
    wasm: &Path,
    pkg: &Path,
) -> Result<()> {
    let mut bind = Command::new(&tools.wasm_bindgen);
    bind.args(["--target", "web", "--no-typescript", "--out-name", &workspace.name]);
    bind.args(flags).arg("--out-dir").arg(pkg).arg(wasm);
    job::step("wasm-bindgen", &mut bind)
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

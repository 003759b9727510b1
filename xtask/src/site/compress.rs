//! Compressed copies beside the files, so that the server never compresses while it answers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::job;
use crate::workspace::Workspace;

/// Contents that are not compressed already.
const TEXT: [&str; 7] = ["js", "wasm", "css", "svg", "html", "json", "txt"];

/// Makes `FILE.br` and `FILE.gz` for every file whose copies are missing or older.
pub(super) fn siblings(workspace: &Workspace, files: &BTreeSet<PathBuf>) -> Result<()> {
    let wanted: Vec<_> = files
        .iter()
        .filter(|file| file.extension().is_some_and(|found| TEXT.iter().any(|text| found == *text)))
        .collect();
    let mut node = Command::new("node");
    node.arg(workspace.root.join("xtask/node/compress.mjs")).args(wanted);
    job::step("compressed copies", &mut node)
}

//! The style sheet: Tailwind reads the views and writes the rules that they use.

use std::path::Path;

use anyhow::Result;

use super::Profile;
use super::stamp::Stamp;
use crate::job;
use crate::tools::SiteTools;
use crate::workspace::Workspace;

/// Writes `folder/pkg/NAME.css`.
pub(super) fn build(
    workspace: &Workspace,
    tools: &SiteTools,
    profile: Profile,
    folder: &Path,
) -> Result<()> {
    let mut tailwind = tools.node_program("tailwindcss");
    let mut stamp = Stamp::new(folder.join("style.stamp"));
    stamp.setting(tailwind.get_program());
    let style = workspace.style_input.parent().unwrap_or(&workspace.root);
    for inputs in [style, &workspace.root.join("app/src"), &workspace.root.join("frontend/src")] {
        stamp.tree(inputs)?;
    }
    let sheet = folder.join("pkg").join(format!("{}.css", workspace.name));
    if stamp.is_fresh() && sheet.is_file() {
        return Ok(());
    }
    stamp.clear()?;
    tailwind.current_dir(&workspace.root);
    tailwind.arg("-i").arg(&workspace.style_input).arg("-o").arg(&sheet);
    if profile.release() {
        tailwind.arg("--minify");
    }
    job::step("style sheet", &mut tailwind)?;
    stamp.save()
}

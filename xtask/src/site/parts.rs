//! The parts of the browser's module: what is not needed at first is cut off, and loaded later by the
//! module's glue.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::job;

/// The script that loads the parts, as the glue names it.
const LOADER: &str = "__wasm_split.js";

/// Cuts a module up: `NAME.wasm`, which comes first, the others, and the script that loads them.
pub(super) fn cut(cutter: &Path, wasm: &Path, name: &str, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let mut command = Command::new(cutter);
    command.arg(wasm).arg(folder).args(["--out-name", name]);
    job::step("parts of the module", &mut command)
}

/// Puts the loader into the glue, which would import it: that would be one more request before the
/// page is alive. They also name each other, and so neither could carry a hash of its contents.
pub(super) fn join_loader(folder: &Path, glue: &Path) -> Result<()> {
    let loader = fs::read_to_string(folder.join(LOADER))?;
    let joined = joined(&fs::read_to_string(glue)?, &loader)
        .context("the module's glue does not import the loader of its parts as it used to")?;
    Ok(fs::write(glue, joined)?)
}

fn joined(glue: &str, loader: &str) -> Option<String> {
    let (before, rest) = glue.split_once("import * as ")?;
    let (name, rest) = rest.split_once(" from ")?;
    let (file, after) = rest.split_once('\n')?;
    let others = after.lines().any(|line| line.starts_with("import "));
    if !before.is_empty() || !file.contains(LOADER) || others {
        return None;
    }
    let body = loader.lines().filter(|line| !line.starts_with("import "));
    let body = body.collect::<Vec<_>>().join("\n");
    let exports =
        loader.lines().filter_map(|line| line.strip_prefix("export const ")?.split(' ').next());
    let exports = exports.collect::<Vec<_>>().join(", ");
    let body = body.replace("export const ", "const ");
    Some(format!("{body}\nconst {name} = {{ {exports} }};\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADED_BY: &str = "import { initSync } from \"./skein.js\";\n\n\
        let shared;\nexport const load_a = (() => initSync());\nexport const load_b = 2;\n";

    #[test]
    fn the_loader_becomes_a_piece_of_the_glue_that_imports_it() {
        let glue = "import * as import1 from \"./__wasm_split.js\"\n\
            const imports = { \"./__wasm_split.js\": import1 };\nexport { initSync };\n";
        assert_eq!(
            joined(glue, LOADED_BY).unwrap(),
            "\nlet shared;\nconst load_a = (() => initSync());\nconst load_b = 2;\n\
             const import1 = { load_a, load_b };\n\
             const imports = { \"./__wasm_split.js\": import1 };\nexport { initSync };\n"
        );
    }

    #[test]
    fn a_glue_that_imports_something_else_is_not_taken_for_known() {
        for glue in [
            "const a = 1;\n",
            "import * as import1 from \"./other.js\"\nconst a = 1;\n",
            "import * as import1 from \"./__wasm_split.js\"\nimport * as import2 from \"./b.js\"\n",
            "import * as import1 from \"./__wasm_split.js\"\n\nimport * as import2 from \"./b.js\"\n",
        ] {
            assert_eq!(joined(glue, LOADED_BY), None, "{glue}");
        }
    }
}

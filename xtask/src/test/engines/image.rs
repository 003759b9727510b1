//! The images that the tests make sandboxes of, made here: no registry is asked for anything.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::job;
use crate::tools::ContainerEngines;

/// What a small distribution's image has: a shell, its tools, and no library.
const BUSYBOX: &str = "skein-test:busybox";
/// A file of text, and nothing that could be run.
const EMPTY: &str = "skein-test:empty";

const FOLDERS: [&str; 12] =
    ["bin", "dev", "etc", "home", "opt", "proc", "root", "run", "srv", "sys", "tmp", "var"];

/// Makes the archives that engines import; each with the name of its image.
pub(super) fn make(
    engines: &ContainerEngines,
    folder: &Path,
) -> Result<[(&'static str, PathBuf); 2]> {
    let root = folder.join("busybox");
    for name in FOLDERS {
        fs::create_dir_all(root.join(name))?;
    }
    // As every image has it: some engines give the folder in memory above it the same mode.
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    // Anybody could write to this one, were the image's root not read-only.
    fs::set_permissions(root.join("srv"), fs::Permissions::from_mode(0o777))?;
    let program = engines.program("busybox")?;
    fs::copy(&program, root.join("bin/busybox"))?;
    for tool in job::capture(Command::new(&program).arg("--list"))?.lines() {
        if tool != "busybox" {
            symlink("busybox", root.join("bin").join(tool))?;
        }
    }
    let empty = folder.join("empty");
    fs::create_dir(&empty)?;
    fs::write(empty.join("readme.txt"), "There is nothing to run in this image.\n")?;
    Ok([(BUSYBOX, archive(&root)?), (EMPTY, archive(&empty)?)])
}

fn archive(root: &Path) -> Result<PathBuf> {
    let file = root.with_extension("tar");
    let mut tar = Command::new("tar");
    job::capture(tar.arg("-C").arg(root).arg("-cf").arg(&file).arg("."))?;
    Ok(file)
}

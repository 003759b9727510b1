//! Whether a step's inputs are those of its last run.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::Result;

/// A digest of a step's inputs, kept in a file beside its output.
#[derive(Debug)]
pub(super) struct Stamp {
    file: PathBuf,
    digest: DefaultHasher,
}

impl Stamp {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, digest: DefaultHasher::new() }
    }

    /// A setting of the step, such as the path of the tool, which names its version.
    pub(super) fn setting(&mut self, value: impl Hash) {
        value.hash(&mut self.digest);
    }

    /// A file, by name, size and time of change.
    pub(super) fn file(&mut self, path: &Path) -> Result<()> {
        let metadata = fs::metadata(path)?;
        (path, metadata.len(), metadata.modified()?).hash(&mut self.digest);
        Ok(())
    }

    /// All files below a folder; a folder that is missing counts as empty.
    pub(super) fn tree(&mut self, folder: &Path) -> Result<()> {
        for path in files_below(folder)? {
            self.file(&path)?;
        }
        Ok(())
    }

    pub(super) fn is_fresh(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text == self.text())
    }

    /// Notes that the step has succeeded with these inputs.
    pub(super) fn save(&self) -> Result<()> {
        Ok(fs::write(&self.file, self.text())?)
    }

    /// Forgets the last success, before the step changes its output.
    pub(super) fn clear(&self) -> Result<()> {
        if self.file.exists() {
            fs::remove_file(&self.file)?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        format!("{:016x}", self.digest.finish())
    }
}

/// All files below a folder, in order of their names.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(home: &Path) -> Stamp {
        let mut stamp = Stamp::new(home.join("stamp"));
        stamp.tree(&home.join("inputs")).unwrap();
        stamp
    }

    #[test]
    fn a_step_is_fresh_until_an_input_changes_appears_or_goes() {
        let home = tempfile::tempdir().unwrap();
        let input = home.path().join("inputs/deep/a.txt");
        fs::create_dir_all(input.parent().unwrap()).unwrap();
        fs::write(&input, "one").unwrap();
        assert!(!stamp(home.path()).is_fresh());
        stamp(home.path()).save().unwrap();
        assert!(stamp(home.path()).is_fresh());

        fs::write(&input, "three").unwrap();
        assert!(!stamp(home.path()).is_fresh());
        stamp(home.path()).save().unwrap();
        fs::write(home.path().join("inputs/b.txt"), "").unwrap();
        assert!(!stamp(home.path()).is_fresh());
        stamp(home.path()).save().unwrap();
        fs::remove_file(input).unwrap();
        assert!(!stamp(home.path()).is_fresh());
    }
}

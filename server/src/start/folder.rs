//! The data folder: everything that must outlive the process, readable by its owner alone.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::StartError;

/// Makes the folder if it is missing, and finds out now rather than later that it can't be written.
pub(super) fn prepare(data: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Data { path: data.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    let probe = data.join(format!(".probe-{}", std::process::id()));
    let written: io::Result<()> = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_folder_is_made_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        prepare(&data).unwrap();
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "the probe is gone");
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused_with_the_way_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = prepare(file.path()).unwrap_err();
        assert!(error.to_string().contains("SKEIN_DATA"), "{error}");
    }
}

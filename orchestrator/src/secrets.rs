//! The two secrets of an installation, made at the first start and kept in `secrets.toml`.
//!
//! The file is readable by its owner only; one that others can read is refused, since whoever reads
//! it can drive every sandbox and watch every session.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sandbox_sdk::auth::{PreviousSecret, VerifierConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Shortest secret that is accepted, in characters.
const MIN_LENGTH: usize = 32;

/// What products authenticate with.
#[derive(Clone, Debug, Deserialize)]
pub struct Secrets {
    /// Bearer token of the REST API, `orch_prod_…`.
    pub api_key: SecretString,
    /// Key that read tokens and webhooks are signed with, `orch_sign_…`. It is never sent.
    pub signing_secret: SecretString,
    /// The signing secret before this one. The file has none: it is for a while only.
    #[serde(skip)]
    pub previous: Option<PreviousSecret>,
}

/// Why the secrets can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    #[error("cannot read or write {path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is not a secrets file: it needs `api_key` and `signing_secret`", path = path.display())]
    Malformed { path: PathBuf },
    #[error("{path} can be read by others; run `chmod 600 {path}`", path = path.display())]
    Exposed { path: PathBuf },
    #[error("`{name}` is shorter than {MIN_LENGTH} characters; remove it to have a good one made")]
    TooShort { name: &'static str },
    #[error(
        "the previous signing secret needs an end: set ORCHESTRATOR_PREVIOUS_SIGNING_SECRET_EXPIRES_AT"
    )]
    NoEnd,
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

impl Secrets {
    /// Loads `secrets.toml` from the data folder; makes folder (mode 0700) and file (0600) if they
    /// are missing. Two processes that start at once end up with the same secrets.
    ///
    /// # Errors
    /// When the file can't be read or written, is malformed, too short, or readable by others.
    pub fn load_or_create(data: &Path) -> Result<Self, SecretsError> {
        let path = path(data);
        let failed = |source| SecretsError::File { path: path.clone(), source };
        create_private_dir(data).map_err(failed)?;
        if !path.try_exists().map_err(failed)? {
            create(data, &path)?;
        }
        let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(SecretsError::Exposed { path });
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        // The parser's own message quotes the line, and so the secret.
        let secrets: Self =
            toml::from_str(&text).map_err(|_| SecretsError::Malformed { path: path.clone() })?;
        secrets.check()
    }

    /// What verifies the product's read tokens.
    pub(crate) fn verifier(&self, product_id: &str) -> VerifierConfig {
        let mut config = VerifierConfig::new(product_id, self.signing_secret.clone());
        for product in &mut config.products {
            product.previous.clone_from(&self.previous);
        }
        config
    }

    /// Refuses secrets that could be guessed.
    pub(crate) fn check(self) -> Result<Self, SecretsError> {
        let previous = self.previous.as_ref();
        let previous = previous.map(|previous| ("previous_signing_secret", &previous.secret));
        let current = [("api_key", &self.api_key), ("signing_secret", &self.signing_secret)];
        for (name, secret) in current.into_iter().chain(previous) {
            if secret.expose_secret().len() < MIN_LENGTH {
                return Err(SecretsError::TooShort { name });
            }
        }
        Ok(self)
    }
}

/// The file of the secrets in a data folder.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("secrets.toml")
}

/// Makes a folder, and those above it, that only its owner enters.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn create(data: &Path, path: &Path) -> Result<(), SecretsError> {
    let failed = |source| SecretsError::File { path: path.to_owned(), source };
    let text = format!(
        "# Made at the first start. Whoever has these can drive every sandbox: keep them private.\n\
         api_key = \"orch_prod_{}\"\nsigning_secret = \"orch_sign_{}\"\n",
        random_hex()?,
        random_hex()?
    );
    let draft = data.join(format!(".secrets.{}", random_hex()?));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        // A link is made only where nothing stands yet: the first of two processes wins.
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = fs::remove_file(&draft);
    written.and(removed).map_err(failed)
}

fn random_hex() -> Result<String, SecretsError> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SecretsError::NoRandomness)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_secrets_and_the_second_finds_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = Secrets::load_or_create(&data).unwrap();
        let second = Secrets::load_or_create(&data).unwrap();
        assert!(first.api_key.expose_secret().starts_with("orch_prod_"));
        assert!(first.signing_secret.expose_secret().starts_with("orch_sign_"));
        assert_eq!(first.api_key.expose_secret(), second.api_key.expose_secret());
        assert_eq!(first.signing_secret.expose_secret().len(), "orch_sign_".len() + 64);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        assert_eq!(mode(&data.join("secrets.toml")), 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Secrets::load_or_create(dir.path()).unwrap();
        let path = dir.path().join("secrets.toml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Secrets::load_or_create(dir.path()), Err(SecretsError::Exposed { .. })));
    }

    #[test]
    fn a_malformed_or_weak_file_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.toml");
        for text in ["api_key = \"hunter2\nx", "api_key = \"hunter2\"\nsigning_secret = \"x\""] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Secrets::load_or_create(dir.path()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}

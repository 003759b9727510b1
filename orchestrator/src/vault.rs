//! Secrets that products keep here, for the environments of their sandboxes.
//!
//! Sealed in the database, open in the sandboxes that were made with their names, and in the answer
//! to whoever asks for one by its name.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    clock::now_ms,
    sealed::{SealError, Sealer},
    sidecar::is_variable_name,
    store::{SecretRow, Store, StoreError},
};

/// Longest value, in bytes.
const MAX_VALUE: usize = 64 * 1024;
const MAX_NAME: usize = 255;
/// Secrets that may be kept.
pub(crate) const MAX_SECRETS: usize = 1000;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    store: Store,
    sealer: Arc<Sealer>,
}

/// What is told of a secret.
#[derive(Clone, Debug)]
pub(crate) struct SecretInfo {
    pub(crate) name: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// Why a secret can't be kept or had. Nothing of it is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("there is a secret of this name; change it with PATCH")]
    Exists,
    #[error("there is no such secret")]
    NotFound { name: String },
    #[error("no more than {MAX_SECRETS} secrets are kept")]
    Full { current: usize },
    #[error("the secret can't be opened: {0}. Set it again.")]
    Sealed(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SecretRow> for SecretInfo {
    fn from(row: SecretRow) -> Self {
        Self { name: row.name, created_at: row.created_at, updated_at: row.updated_at }
    }
}

impl Vault {
    pub(crate) fn new(store: Store, sealer: Arc<Sealer>) -> Self {
        Self { store, sealer }
    }

    /// Adds a secret.
    pub(crate) async fn add(
        &self,
        name: &str,
        value: &SecretString,
    ) -> Result<SecretInfo, VaultError> {
        check_name(name)?;
        let (sealed, now) = (self.seal(name, value)?, now_ms());
        let current = self.store.secrets().await?.len();
        if current >= MAX_SECRETS {
            return Err(VaultError::Full { current });
        }
        if !self.store.insert_secret(name, &sealed, now).await? {
            return Err(VaultError::Exists);
        }
        Ok(SecretInfo { name: name.to_owned(), created_at: now, updated_at: now })
    }

    /// Gives a secret another value. Sandboxes get it with their next start.
    pub(crate) async fn change(
        &self,
        name: &str,
        value: &SecretString,
    ) -> Result<SecretInfo, VaultError> {
        let sealed = self.seal(name, value)?;
        let changed = self.store.update_secret(name, &sealed, now_ms()).await?;
        changed.map(SecretInfo::from).ok_or_else(|| not_found(name))
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), VaultError> {
        let removed = self.store.delete_secret(name).await?;
        if removed { Ok(()) } else { Err(not_found(name)) }
    }

    /// All secrets, by name.
    pub(crate) async fn list(&self) -> Result<Vec<SecretInfo>, VaultError> {
        Ok(self.store.secrets().await?.into_iter().map(SecretInfo::from).collect())
    }

    pub(crate) async fn get(&self, name: &str) -> Result<SecretString, VaultError> {
        let row = self.store.secret(name).await?.ok_or_else(|| not_found(name))?;
        Ok(self.sealer.open(&purpose(name), &row.value)?.into())
    }

    /// The first of the names that no secret has.
    pub(crate) async fn missing<'a>(
        &self,
        names: &'a [String],
    ) -> Result<Option<&'a str>, StoreError> {
        for name in names {
            if self.store.secret(name).await?.is_none() {
                return Ok(Some(name.as_str()));
            }
        }
        Ok(None)
    }

    /// The secrets as variables of an environment. One that is gone since, or can't be opened any
    /// more, is left out: a sandbox is not lost with it.
    pub(crate) async fn environment(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let mut environment = BTreeMap::new();
        for name in names {
            match self.get(name).await {
                Ok(value) => {
                    environment.insert(name.clone(), value.expose_secret().to_owned());
                }
                Err(VaultError::Store(error)) => return Err(error),
                Err(error) => tracing::warn!(name, %error, "a sandbox starts without a secret"),
            }
        }
        Ok(environment)
    }

    fn seal(&self, name: &str, value: &SecretString) -> Result<String, VaultError> {
        let value = value.expose_secret();
        if value.len() > MAX_VALUE || value.contains('\0') {
            return Err(VaultError::Invalid("value must have at most 64 KiB and no zero byte"));
        }
        Ok(self.sealer.seal(&purpose(name), value)?)
    }
}

/// It becomes the name of a variable.
fn check_name(name: &str) -> Result<(), VaultError> {
    if name.len() > MAX_NAME || !is_variable_name(name) {
        let words = "name must be that of an environment variable: 1 to 255 of [A-Za-z0-9_], and \
                     no digit first";
        return Err(VaultError::Invalid(words));
    }
    // They would load code into the process above each command, which ends what it started.
    if name.starts_with("LD_") {
        return Err(VaultError::Invalid("name must not be one of the dynamic linker's (LD_…)"));
    }
    // Hardly a command works with another value for these, and none that works is a secret.
    if matches!(name, "PATH" | "HOME") {
        return Err(VaultError::Invalid("name must not be PATH or HOME; they can stand in env"));
    }
    Ok(())
}

fn not_found(name: &str) -> VaultError {
    VaultError::NotFound { name: name.to_owned() }
}

fn purpose(name: &str) -> String {
    format!("secret {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::tests::sealer_of;

    async fn vault(folder: &std::path::Path, secret: &str) -> Vault {
        let store = Store::open(&folder.join("o.db")).await.unwrap();
        Vault::new(store, Arc::new(sealer_of(secret)))
    }

    #[tokio::test]
    async fn under_another_signing_secret_a_secret_stays_closed_until_it_is_set_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = vault(dir.path(), "one").await;
        first.add("TOKEN", &"good".into()).await.unwrap();
        let second = vault(dir.path(), "two").await;
        assert!(matches!(second.get("TOKEN").await, Err(VaultError::Sealed(_))));
        let names = ["TOKEN".to_owned()];
        assert!(second.environment(&names).await.unwrap().is_empty());
        second.change("TOKEN", &"new".into()).await.unwrap();
        assert_eq!(second.environment(&names).await.unwrap()["TOKEN"], "new");
    }

    #[tokio::test]
    async fn no_secret_stands_in_the_place_of_what_every_command_needs() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path(), "one").await;
        for name in ["PATH", "HOME", "LD_PRELOAD"] {
            let refused = vault.add(name, &"x".into()).await;
            assert!(matches!(refused, Err(VaultError::Invalid(_))), "{name}");
        }
        vault.add("PATHS", &"x".into()).await.unwrap();
    }

    #[tokio::test]
    async fn a_sealed_value_opens_under_its_own_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path(), "one").await;
        vault.add("A", &"a".into()).await.unwrap();
        let sealed = vault.store.secret("A").await.unwrap().unwrap().value;
        vault.store.insert_secret("B", &sealed, 1).await.unwrap();
        assert!(matches!(vault.get("B").await, Err(VaultError::Sealed(SealError::Closed))));
    }
}

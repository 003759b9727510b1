//! What is there before anything starts: secrets, the folder, the address.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandbox_sdk::auth::PreviousSecret;

use super::StartError;
use crate::{
    config::Config,
    driver::Drivers,
    secrets::{self, Secrets, SecretsError, create_private_dir},
    store::StoreError,
};

/// Open files that this process takes if it may.
const OPEN_FILES: u64 = 65_536;

/// Each connection of a viewer or a sandbox takes a file or two, and most systems begin with a thousand.
/// Sandboxes set their own limit.
pub(super) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < most) {
        let raised = Rlimit { current: Some(most), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "no more files may be opened");
        }
    }
}

/// The configured secrets; what is missing comes from the file.
pub(super) fn secrets(config: &Config) -> Result<Secrets, SecretsError> {
    let (api_key, signing_secret) = (config.api_key.clone(), config.signing_secret.clone());
    let previous = previous(config)?;
    let secrets = match (api_key, signing_secret) {
        (Some(api_key), Some(signing_secret)) => Secrets { api_key, signing_secret, previous },
        (api_key, signing_secret) => {
            let stored = Secrets::load_or_create(&config.data)?;
            Secrets {
                api_key: api_key.unwrap_or(stored.api_key),
                signing_secret: signing_secret.unwrap_or(stored.signing_secret),
                previous,
            }
        }
    };
    secrets.check()
}

/// Where the secrets are, for the log.
pub(super) fn secrets_file(config: &Config) -> String {
    if config.api_key.is_some() && config.signing_secret.is_some() {
        return "configured".to_owned();
    }
    let path = secrets::path(&config.data);
    path.canonicalize().unwrap_or(path).display().to_string()
}

fn previous(config: &Config) -> Result<Option<PreviousSecret>, SecretsError> {
    let Some(secret) = config.previous_signing_secret.clone() else { return Ok(None) };
    let expires_at_ms = config.previous_signing_secret_expires_at.ok_or(SecretsError::NoEnd)?;
    Ok(Some(PreviousSecret { secret, expires_at_ms }))
}

/// Makes the orchestrator's folder and locks it: two writers would give the same numbers twice.
pub(super) fn claim_folder(data: &Path) -> Result<(PathBuf, fs::File), StartError> {
    let failed = |source| StartError::DataFolder { path: data.to_owned(), source };
    let folder = data.join("orchestrator");
    create_private_dir(&folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    let lock = fs::File::create(folder.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok((folder, lock)),
        Err(fs::TryLockError::WouldBlock) => Err(StartError::AlreadyRunning { path: folder }),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Says of which folder the disk takes no more, and what is free there.
pub(super) fn full_disk(folder: &Path, why: &StoreError) -> StartError {
    let disk = rustix::fs::statvfs(folder);
    let free = disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    StartError::FullDisk { path: folder.to_owned(), free_mb: free >> 20, why: in_words(why) }
}

/// An error with its causes, in one line.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// An address to connect to: what listens everywhere is reached over loopback.
pub(super) fn reachable(mut listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listening.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listening.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listening
}

/// Says what runs the sandboxes. An engine may take its time to answer, and nobody waits for it; one
/// that can't be had now may be later.
pub(super) fn report(drivers: &Drivers) {
    for (kind, driver) in drivers.all() {
        let driver = driver.clone();
        tokio::spawn(async move {
            match driver.report().await {
                Ok(report) => {
                    tracing::info!(
                        driver = kind.name(),
                        version = report.version,
                        isolation = report.isolation,
                        network = report.network,
                        "sandboxes are isolated"
                    );
                    for warning in &report.warnings {
                        tracing::warn!("{warning}");
                    }
                }
                Err(error) => tracing::warn!(driver = kind.name(), %error, "driver not available"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    use super::*;

    #[tokio::test]
    async fn where_room_is_missing_is_told_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("small.db");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut small = options.connect().await.unwrap();
        for statement in ["CREATE TABLE a (b)", "PRAGMA max_page_count = 2"] {
            sqlx::query(statement).execute(&mut small).await.unwrap();
        }
        let filled = sqlx::query("INSERT INTO a VALUES (zeroblob(100000))");
        let full = StoreError::from(filled.execute(&mut small).await.unwrap_err());
        assert!(full.is_of_the_disk());
        assert!(!StoreError::from(sqlx::Error::PoolClosed).is_of_the_disk());
        let words = full_disk(folder.path(), &full).to_string();
        assert!(words.contains(&folder.path().display().to_string()), "{words}");
        assert!(words.contains("MB are free there") && words.contains("is full"), "{words}");
    }
}

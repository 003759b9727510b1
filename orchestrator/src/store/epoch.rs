//! The epoch names the life of the logs: within one, a sequence number means one event for ever.
//!
//! When may an acknowledged event be lost, so that its number would be given again?
//! - The process is killed: every commit stands in the write-ahead log, in the operating system's
//!   memory at least, and is there at the next start. The epoch stays.
//! - The machine loses power or its kernel crashes: with `synchronous = NORMAL` the last commits may
//!   never have reached the disk. The epoch must change.
//!
//! The two are told apart by the kernel's boot id: unclean end and the same boot means that only the
//! process died. Without a boot id every unclean end counts as a loss. Both marks are forced to the
//! disk by a checkpoint: the "open" mark before the first event is taken, since a lost one would make
//! a crash look clean; the "closed" mark after the last, since it must not outlive what it vouches for.

use super::{Result, Store};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Store {
    /// The epoch to serve under, from the marks that the last run left. Marks the file as open.
    pub(crate) async fn open_epoch(&self) -> Result<String> {
        let boot = tokio::fs::read_to_string(BOOT_ID).await.unwrap_or_default();
        self.open_epoch_on(boot.trim()).await
    }

    async fn open_epoch_on(&self, boot: &str) -> Result<String> {
        let last_boot = self.meta("boot").await?.unwrap_or_default();
        let clean = self.meta("closed").await?.as_deref() == Some("yes");
        let nothing_lost = clean || (!boot.is_empty() && boot == last_boot);
        #[cfg(test)]
        let nothing_lost = nothing_lost && !crate::mutants::Mutant::EpochPerBoot.is_on();
        let epoch = match self.meta("epoch").await? {
            Some(epoch) if nothing_lost => epoch,
            _ => uuid::Uuid::now_v7().simple().to_string(),
        };
        self.set_meta("epoch", &epoch).await?;
        self.set_meta("boot", boot).await?;
        self.set_meta("closed", "no").await?;
        self.checkpoint().await?;
        Ok(epoch)
    }

    /// Marks the file as closed in order. Nothing may be written after it.
    pub(crate) async fn close_epoch(&self) -> Result<()> {
        self.set_meta("closed", "yes").await?;
        self.checkpoint().await
    }

    pub(super) async fn checkpoint(&self) -> Result<()> {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&self.write).await?;
        Ok(())
    }

    pub(super) async fn meta(&self, key: &str) -> Result<Option<String>> {
        Ok(sqlx::query_scalar("SELECT value FROM meta WHERE key = ?1")
            .bind(key)
            .fetch_optional(&self.write)
            .await?)
    }

    pub(super) async fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&self.write)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn epoch_after(clean: bool, first_boot: &str, second_boot: &str) -> (String, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.db");
        let store = Store::open(&path).await.unwrap();
        let first = store.open_epoch_on(first_boot).await.unwrap();
        if clean {
            store.close_epoch().await.unwrap();
        }
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        (first, store.open_epoch_on(second_boot).await.unwrap())
    }

    #[tokio::test]
    async fn a_clean_end_keeps_the_epoch_even_across_boots() {
        let (first, second) = epoch_after(true, "boot-1", "boot-2").await;
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn a_killed_process_keeps_the_epoch_within_one_boot() {
        let (first, second) = epoch_after(false, "boot-1", "boot-1").await;
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn a_lost_machine_gets_a_new_epoch() {
        let (first, second) = epoch_after(false, "boot-1", "boot-2").await;
        assert_ne!(first, second);
        let (first, second) = epoch_after(false, "", "").await;
        assert_ne!(first, second, "without a boot id every unclean end may be a loss");
    }
}

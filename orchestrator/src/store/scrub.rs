//! Rids the file of what was deleted from its tables or overwritten there.
//!
//! SQLite leaves that on pages that are free now, and in the write-ahead log. Older versions wrote
//! credentials in clear; what this one writes is sealed.

use super::{Result, Store};

/// Stands in `meta` once it was done.
const DONE: &str = "scrubbed";

impl Store {
    /// Writes the file anew, with nothing in it but what stands in its tables now; once in its
    /// life. Nobody else may be reading.
    pub(crate) async fn scrub(&self) -> Result<()> {
        if self.meta(DONE).await?.is_some() {
            return Ok(());
        }
        sqlx::query("VACUUM").execute(&self.write).await?;
        // The log still holds the pages as they were.
        self.checkpoint().await?;
        // Last, so that one that was cut off is done again.
        self.set_meta(DONE, "yes").await
    }
}

//! Snapshots: the files of a sandbox, kept apart from it.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Error, Sandboxes, answer::decode, http::segment};
use crate::types::{SnapshotEntry, SnapshotTaken, TakeSnapshot};

#[derive(Deserialize)]
struct Listed {
    snapshots: Vec<SnapshotEntry>,
}

#[derive(Deserialize)]
struct Restored {
    snapshot: SnapshotEntry,
}

/// Much to keep takes its time: give the client a time-out that allows for it.
impl Sandboxes<'_> {
    /// Keeps the files of a sandbox, or some of them. A stopped sandbox is resumed. Never repeated.
    ///
    /// # Errors
    /// 404 for an unknown sandbox; when it is unknown whether a snapshot was taken.
    pub async fn take_snapshot(
        &self,
        id: &str,
        what: &TakeSnapshot,
    ) -> Result<SnapshotTaken, Error> {
        let call = self.call_of(Method::POST, id, "/snapshot")?.json(what)?;
        decode(&self.0.send(call).await?, "a snapshot")
    }

    /// What was kept of a sandbox, which may be deleted by now.
    ///
    /// # Errors
    /// 404 for a sandbox that is not there and of which nothing was kept.
    pub async fn snapshots(&self, id: &str) -> Result<Vec<SnapshotEntry>, Error> {
        let call = self.call_of(Method::GET, id, "/snapshots")?;
        let listed: Listed = decode(&self.0.send(call).await?, "a list of snapshots")?;
        Ok(listed.snapshots)
    }

    /// Puts a snapshot back to where it was taken, or below another folder. One of everything replaces
    /// all that is there; one of some paths, or one for another folder, is added to it. A stopped
    /// sandbox is resumed. Never repeated.
    ///
    /// # Errors
    /// 404 for an unknown sandbox or snapshot, 409 while a turn runs.
    pub async fn restore_snapshot(
        &self,
        id: &str,
        snapshot_id: &str,
        folder: Option<&str>,
    ) -> Result<SnapshotEntry, Error> {
        let rest = format!("/snapshots/{}/restore", segment(snapshot_id)?);
        let body = json!({"destinationPath": folder});
        let call = self.call_of(Method::POST, id, &rest)?.json(&body)?;
        let restored: Restored = decode(&self.0.send(call).await?, "a restored snapshot")?;
        Ok(restored.snapshot)
    }

    /// Removes a snapshot. One that is gone already is no error.
    ///
    /// # Errors
    /// When it is unknown whether it was removed.
    pub async fn delete_snapshot(&self, id: &str, snapshot_id: &str) -> Result<(), Error> {
        let rest = format!("/snapshots/{}", segment(snapshot_id)?);
        match self.0.send(self.call_of(Method::DELETE, id, &rest)?).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

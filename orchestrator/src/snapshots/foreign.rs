//! Snapshots in a caller's own bucket: beside each object a small file says what it is.
//!
//! Whoever can write to the bucket wrote it, so nothing of it is believed that is not checked: names
//! must be those of ours, and the object is counted and compared while it is read.

use futures::future::join_all;

use super::{Kept, SnapshotError, request, storage::Storage};

/// Snapshots that are told of a project: the newest ones.
const MAX_LIST: usize = 100;
/// Pages of names that are read of a bucket, a thousand names each.
const MAX_PAGES: usize = 10;
/// Read at once.
const AT_ONCE: usize = 8;
const MAX_MANIFEST: usize = 512 << 10;
/// The year 9999.
const MAX_TIME: i64 = 253_402_300_799_999;
/// Ends the name of what says what a snapshot is.
const MANIFEST: &str = ".json";

/// A project's snapshots in somebody's bucket.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    pub(super) storage: Storage,
    pub(super) project: String,
}

impl Foreign {
    /// Name of a snapshot's object.
    pub(super) fn object(&self, id: &str) -> String {
        self.storage.key(&format!("{}/{id}.tar.gz", self.project))
    }

    fn manifest(&self, id: &str) -> String {
        self.storage.key(&format!("{}/{id}{MANIFEST}", self.project))
    }

    /// Tells of a snapshot whose object is there. From then on it is listed.
    pub(super) async fn publish(&self, kept: &Kept) -> Result<(), SnapshotError> {
        let text = serde_json::to_vec(kept).map_err(|error| {
            SnapshotError::Storage(format!("the snapshot can't be described: {error}"))
        })?;
        self.storage.bucket.put(&self.manifest(&kept.id), text.into()).await
    }

    /// What it is goes first, so that nobody finds a snapshot without its object.
    pub(super) async fn remove(&self, id: &str) -> Result<(), SnapshotError> {
        self.storage.bucket.remove(&self.manifest(id)).await?;
        self.storage.bucket.remove(&self.object(id)).await
    }

    /// The newest first.
    pub(super) async fn list(&self) -> Result<Vec<Kept>, SnapshotError> {
        let ids = self.ids().await?;
        let mut list = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            for kept in join_all(ids.iter().map(|id| self.find(id))).await {
                list.extend(known(kept)?);
            }
        }
        Ok(list)
    }

    pub(super) async fn newest(&self) -> Result<Kept, SnapshotError> {
        for id in self.ids().await? {
            if let Some(kept) = known(self.find(&id).await)? {
                return Ok(kept);
            }
        }
        Err(SnapshotError::NotFound)
    }

    /// What the bucket says of a snapshot, as far as it can be true.
    pub(super) async fn find(&self, id: &str) -> Result<Kept, SnapshotError> {
        let text = self.storage.bucket.read_text(&self.manifest(id), MAX_MANIFEST).await?;
        read(&text, id).ok_or(SnapshotError::Damaged)
    }

    /// Of the newest snapshots, the newest first. Later ids come later in the alphabet.
    async fn ids(&self) -> Result<Vec<String>, SnapshotError> {
        let folder = self.storage.key(&format!("{}/", self.project));
        let mut ids = Vec::new();
        let (mut after, mut pages) = (None, 0);
        loop {
            let (keys, next) = self.storage.bucket.list(&folder, after.as_deref()).await?;
            let names = keys.iter().filter_map(|key| key.strip_prefix(folder.as_str()));
            ids.extend(names.filter_map(id_of).map(str::to_owned));
            pages += 1;
            after = next;
            if after.is_none() || pages == MAX_PAGES {
                break;
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        ids.truncate(MAX_LIST);
        Ok(ids)
    }
}

/// Finds a snapshot in a bucket, of whichever project it is.
pub(super) async fn find(storage: &Storage, id: &str) -> Result<(Foreign, Kept), SnapshotError> {
    let root = storage.key("");
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let (keys, next) = storage.bucket.list(&root, after.as_deref()).await?;
        let names = keys.iter().filter_map(|key| key.strip_prefix(root.as_str()));
        let found = names
            .filter_map(|name| name.split_once('/'))
            .find(|(project, name)| id_of(name) == Some(id) && request::project(project).is_ok());
        if let Some((project, _)) = found {
            let foreign = Foreign { storage: storage.clone(), project: project.to_owned() };
            let kept = foreign.find(id).await?;
            return Ok((foreign, kept));
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    Err(SnapshotError::NotFound)
}

/// The id of the snapshot that a file of this name tells of.
fn id_of(name: &str) -> Option<&str> {
    name.strip_suffix(MANIFEST).filter(|id| request::is_id(id))
}

/// Passes over what is gone meanwhile, and what makes no sense.
fn known(kept: Result<Kept, SnapshotError>) -> Result<Option<Kept>, SnapshotError> {
    match kept {
        Ok(kept) => Ok(Some(kept)),
        Err(SnapshotError::NotFound | SnapshotError::Damaged) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(text: &str, id: &str) -> Option<Kept> {
    let kept: Kept = serde_json::from_str(text).ok()?;
    let take = request::check(kept.take()).ok()?;
    let is_digest = kept.sha256.len() == 64 && kept.sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let is_true = kept.id == id && is_digest && (0..=MAX_TIME).contains(&kept.created_at);
    is_true.then_some(Kept { tags: take.tags, paths: take.paths, ..kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_a_bucket_says_is_believed_only_as_far_as_it_can_be_true() {
        let id = request::new_id();
        let reads = |change: Value| {
            let mut manifest = json!({
                "id": id, "createdAt": 1, "tags": ["a"], "paths": ["b"], "size": 7,
                "sha256": "0".repeat(64),
            });
            for (field, value) in change.as_object().unwrap() {
                manifest[field] = value.clone();
            }
            read(&manifest.to_string(), &id)
        };
        let kept = reads(json!({})).unwrap();
        assert_eq!((kept.size, kept.paths), (7, vec!["/workspace/b".to_owned()]));
        for change in [
            json!({"id": request::new_id()}),
            json!({"id": "../x"}),
            json!({"createdAt": -1}),
            json!({"createdAt": i64::MAX}),
            json!({"size": -1}),
            json!({"size": 1e300}),
            json!({"tags": ["\u{1b}"]}),
            json!({"tags": vec!["a"; 1000]}),
            json!({"paths": ["/etc"]}),
            json!({"paths": ["../.."]}),
            json!({"sha256": "x"}),
            json!({"sha256": "é".repeat(32)}),
        ] {
            assert!(reads(change.clone()).is_none(), "{change}");
        }
        assert!(read("", &id).is_none() && read("[]", &id).is_none());
    }

    #[test]
    fn only_names_of_ours_are_looked_at() {
        let id = request::new_id();
        assert_eq!(id_of(&format!("{id}.json")), Some(id.as_str()));
        for name in [format!("{id}.tar.gz"), format!("x/{id}.json"), "../a.json".into(), id] {
            assert_eq!(id_of(&name), None, "{name}");
        }
    }
}

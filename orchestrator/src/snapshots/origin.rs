//! The snapshot that a new sandbox begins with.

use sandbox_sdk::types::{Extra, SnapshotStorage};
use serde_json::Value;

use super::{
    Found, Place, SnapshotError, Snapshots, foreign,
    request::{self, invalid},
    restore::Source,
};
use crate::sidecar::SidecarClient;

/// The caller's bucket that a sandbox was made with.
fn storage_of(request: &Extra) -> Result<Option<SnapshotStorage>, SnapshotError> {
    match request.get("storage").filter(|storage| !is_nothing(storage)) {
        None => Ok(None),
        // The parser's own words may quote a secret.
        Some(storage) => serde_json::from_value(storage.clone()).map(Some).or_else(|_| {
            invalid(
                "storage must be {type, bucket, credentials: {accessKeyId, secretAccessKey}}, and \
                 may have endpoint, region and prefix",
            )
        }),
    }
}

/// The snapshot that a sandbox is to begin with.
fn origin_of(request: &Extra) -> Result<Option<&str>, SnapshotError> {
    match request.get("fromSnapshot").filter(|origin| !is_nothing(origin)) {
        None => Ok(None),
        Some(Value::String(id)) if request::is_id(id) => Ok(Some(id)),
        Some(_) => invalid("fromSnapshot is not the id of a snapshot"),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl Snapshots {
    /// Refuses a new sandbox that could not begin with what it asks for. A caller's bucket is not
    /// looked into.
    pub(crate) async fn check_origin(&self, request: &Extra) -> Result<(), SnapshotError> {
        let storage = storage_of(request)?;
        let is_foreign = storage.is_some();
        if let Some(storage) = storage {
            self.0.doors.foreign(&storage)?;
        }
        match origin_of(request)? {
            Some(id) if !is_foreign => self.find_own(id, None).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Fills a new sandbox that nobody uses yet, if it asks for that.
    pub(crate) async fn begin(
        &self,
        sidecar: &SidecarClient,
        request: &Extra,
    ) -> Result<(), SnapshotError> {
        let Some(id) = origin_of(request)? else { return Ok(()) };
        let storage = storage_of(request)?;
        let turn = self.turn(storage.is_some()).await?;
        let found = match storage {
            None => self.find_own(id, None).await?,
            Some(storage) => {
                let storage = self.0.doors.foreign(&storage)?;
                let (foreign, kept) = self.looked_up(foreign::find(&storage, id)).await?;
                Found { kept, source: Source::Foreign(Box::new(foreign)) }
            }
        };
        let put = self.put(sidecar, &found, None).await;
        drop(turn);
        put
    }

    /// Where the snapshots of a sandbox are that was made with this request.
    pub(crate) fn place_of(&self, request: &Extra, sandbox: &str) -> Result<Place, SnapshotError> {
        self.place(storage_of(request)?.as_ref(), sandbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(body: Value) -> Extra {
        body.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_no_storage_is_refused_without_being_quoted() {
        for none in [json!({}), json!({"storage": null}), json!({"storage": {}})] {
            assert!(storage_of(&request(none)).unwrap().is_none());
        }
        for storage in [json!("hunter2"), json!({"credentials": "hunter2"}), json!([1]), json!(7)] {
            let error = storage_of(&request(json!({"storage": storage}))).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_sandbox_begins_with_a_snapshot_by_its_id() {
        let id = request::new_id();
        let asked = request(json!({"fromSnapshot": id}));
        assert_eq!(origin_of(&asked).unwrap(), Some(id.as_str()));
        assert_eq!(origin_of(&request(json!({"fromSnapshot": ""}))).unwrap(), None);
        for other in [json!("../x"), json!(7), json!(["a"]), json!({"id": "a"})] {
            assert!(origin_of(&request(json!({"fromSnapshot": other}))).is_err());
        }
    }
}

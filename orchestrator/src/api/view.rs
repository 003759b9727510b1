//! How the API shows a sandbox.

use sandbox_sdk::types::{Connection, Extra, Project, Sandbox, SandboxStatus};
use serde_json::json;

use super::App;
use crate::{
    clock::{iso, now_ms},
    sandboxes::Snapshot,
};

impl App {
    pub(super) fn sandbox(&self, snapshot: &Snapshot) -> Sandbox {
        let Snapshot { row, request, .. } = snapshot;
        Sandbox {
            id: row.id.clone(),
            name: request.name.clone(),
            status: snapshot.status(),
            connection: self.connection(snapshot),
            metadata: request.metadata.clone(),
            created_at: iso(row.created_at),
            started_at: row.started_at.map(iso),
            last_activity_at: Some(iso(row.last_activity_at)),
            expires_at: snapshot.expires_at().map(iso),
            error: row.error.clone(),
            extra: warnings(snapshot),
        }
    }

    pub(super) fn project(&self, snapshot: &Snapshot) -> Project {
        Project {
            project_ref: snapshot.row.id.clone(),
            status: snapshot.status(),
            connection: self.connection(snapshot),
            error: snapshot.row.error.clone(),
            extra: warnings(snapshot),
        }
    }

    /// Also for a stopped sandbox, which the first request resumes; not for one that never started.
    fn connection(&self, snapshot: &Snapshot) -> Option<Connection> {
        let id = &snapshot.row.id;
        matches!(snapshot.status(), SandboxStatus::Running | SandboxStatus::Stopped).then(|| {
            let sidecar_url = format!("{}/sidecar/{id}", self.base_url);
            let made_at = snapshot.row.created_at;
            let (auth_token, expires_at) = self.keys.of_sandbox(id, made_at, now_ms());
            Connection {
                auth_token,
                auth_token_expires_at: Some(iso(expires_at)),
                // Its newer name.
                extra: Extra::from_iter([("runtimeUrl".to_owned(), sidecar_url.clone().into())]),
                sidecar_url,
            }
        })
    }
}

/// Adds to the warnings of what is shown.
pub(super) fn warn(shown: &mut Extra, warning: Option<String>) {
    let Some(warning) = warning else { return };
    let warnings = shown.entry("warnings").or_insert_with(|| json!([]));
    if let Some(warnings) = warnings.as_array_mut() {
        warnings.push(warning.into());
    }
}

/// What was asked for and makes no difference: said rather than kept quiet.
fn warnings(snapshot: &Snapshot) -> Extra {
    let warnings = snapshot.warnings();
    let told = (!warnings.is_empty()).then(|| ("warnings".to_owned(), warnings.into()));
    Extra::from_iter(told)
}

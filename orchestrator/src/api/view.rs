//! How the API shows a sandbox.

use sandbox_sdk::types::{Connection, Extra, Project, Sandbox, SandboxStatus};

use super::App;
use crate::{clock::iso, sandboxes::Snapshot};

impl App {
    pub(super) fn sandbox(&self, snapshot: Snapshot) -> Sandbox {
        let status = snapshot.status();
        let connection = self.connection(&snapshot);
        let Snapshot { row, request } = snapshot;
        let mut extra = Extra::new();
        if request.image.is_some() {
            // Said rather than kept quiet: who asks for an image expects what is in it.
            let warning = "the image is not used: sandboxes here run on this machine's own system";
            extra.insert("warnings".to_owned(), vec![warning].into());
        }
        Sandbox {
            name: request.name,
            status,
            connection,
            metadata: request.metadata,
            created_at: iso(row.created_at),
            started_at: row.started_at.map(iso),
            last_activity_at: Some(iso(row.last_activity_at)),
            error: row.error,
            id: row.id,
            extra,
        }
    }

    pub(super) fn project(&self, snapshot: Snapshot) -> Project {
        Project {
            status: snapshot.status(),
            connection: self.connection(&snapshot),
            project_ref: snapshot.row.id,
            error: snapshot.row.error,
            extra: Extra::new(),
        }
    }

    /// Also for a stopped sandbox, which the first request resumes; not for one that never started.
    fn connection(&self, snapshot: &Snapshot) -> Option<Connection> {
        let id = &snapshot.row.id;
        matches!(snapshot.status(), SandboxStatus::Running | SandboxStatus::Stopped).then(|| {
            Connection {
                sidecar_url: format!("{}/sidecar/{id}", self.base_url),
                auth_token: self.keys.of_sandbox(id),
                extra: Extra::new(),
            }
        })
    }
}

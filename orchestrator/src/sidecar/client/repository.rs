//! The repository that a new sandbox begins with.

use serde_json::Value;

use super::{
    super::{git::CLONE_PATIENCE, message::CloneRepository},
    COMMAND_MARGIN, SidecarClient, SidecarError, within,
};

impl SidecarClient {
    /// Fills the workspace of a sandbox that nobody has used yet. What was there goes. Dropping the
    /// future ends it.
    pub(crate) async fn clone_repository(
        &self,
        order: &CloneRepository,
    ) -> Result<(), SidecarError> {
        let call = self.post::<_, Value>("/git/clone", order);
        within(CLONE_PATIENCE + COMMAND_MARGIN, call).await.map(drop)
    }
}

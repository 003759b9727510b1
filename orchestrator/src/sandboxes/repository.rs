//! The repository that a new sandbox begins with.

use sandbox_sdk::types::CreateSandbox;

use super::{
    SandboxError, Sandboxes,
    request::{Repository, without_token},
    slot::Slot,
};
use crate::{
    network::Policy,
    sidecar::{CloneRepository, SidecarClient},
};

/// Characters that are told of why a clone failed.
const MAX_WORDS: usize = 2000;

impl Sandboxes {
    /// Refuses a repository that the sandbox could not reach once it starts.
    pub(super) fn check_repository(&self, request: &CreateSandbox) -> Result<(), SandboxError> {
        let Some(Repository { place, .. }) = Repository::of(request)? else { return Ok(()) };
        if self.policy(request).may_reach(&place) {
            return Ok(());
        }
        // Where no list is allowed, nothing that could be added would help.
        if !self.0.config.networks.allows(&Policy::List(Vec::new())) {
            return Err(SandboxError::NetworkNotAllowed);
        }
        Err(SandboxError::Invalid(format!(
            "git.url is out of the sandbox's reach: add {:?} to network.allowList",
            place.entry()
        )))
    }

    /// Forgets what opened the repository of a sandbox whose life is locked: nothing clones it again.
    pub(super) async fn forget_token(&self, slot: &Slot) {
        let Some(request) = without_token(&slot.request()) else { return };
        if let Err(error) = self.write_down(slot, request).await {
            // The next start tries again.
            let id = slot.snapshot().row.id;
            tracing::error!(sandbox = id, %error, "the token of its repository is still kept");
        }
    }
}

/// Fills the workspace of a sandbox that nobody has used yet, if that was asked for.
pub(super) async fn begin(
    sidecar: &SidecarClient,
    request: &CreateSandbox,
) -> Result<(), SandboxError> {
    let Some(Repository { order, .. }) = Repository::of(request)? else { return Ok(()) };
    let cloned = sidecar.clone_repository(&order).await;
    cloned.map_err(|error| {
        let token = request.git.as_ref().and_then(|git| git.auth.as_ref()?.token.as_deref());
        let words = told(&error.to_string(), &order, token);
        SandboxError::Start(format!("its repository could not be cloned: {words}"))
    })
}

/// What a sandbox says, and the host that it asked: for people, in one line, without what opened the
/// repository.
fn told(said: &str, order: &CloneRepository, token: Option<&str>) -> String {
    let header = order.authorization.as_deref().and_then(|header| header.strip_prefix("Basic "));
    let secrets = [header, token].into_iter().flatten().filter(|secret| !secret.is_empty());
    let open = secrets.fold(said.to_owned(), |said, secret| said.replace(secret, "[redacted]"));
    open.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_host_echoes_of_the_token_is_not_told() {
        let git = json!({"url": "https://a.example/b", "auth": {"token": "hunter2"}});
        let request: CreateSandbox = serde_json::from_value(json!({ "git": git })).unwrap();
        let order = Repository::of(&request).unwrap().unwrap().order;
        let header = order.authorization.clone().unwrap();
        let said = format!("remote: {header}\u{1b}[2J, hunter2\nfatal: no");
        let told = told(&said, &order, Some("hunter2"));
        assert_eq!(told, "remote: Basic [redacted] [2J, [redacted] fatal: no");
        assert_eq!(super::told(&"x".repeat(5000), &order, None).len(), MAX_WORDS);
    }
}

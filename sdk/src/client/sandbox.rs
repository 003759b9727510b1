//! What happens inside one sandbox: commands.

use std::{fmt, time::Duration};

use reqwest::Method;

use super::{
    Client, Error,
    answer::decode,
    http::{Call, Target, segment},
};
use crate::types::{Exec, ExecResult};

/// How much longer a call waits than the command may run, so that the sandbox's own verdict arrives.
const EXEC_GRACE: Duration = Duration::from_secs(5);

/// Commands, processes, terminals, files, version control and agent sessions of one sandbox.
#[derive(Clone)]
pub struct SandboxHandle {
    pub(super) client: Client,
    route: Route,
}

#[derive(Clone)]
enum Route {
    /// Through the orchestrator, by the sandbox's id.
    Through(String),
    /// Straight to the sidecar.
    Direct(Target),
}

impl fmt::Debug for SandboxHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, place) = match &self.route {
            Route::Through(id) => ("id", id),
            Route::Direct(target) => ("sidecar", &target.base),
        };
        f.debug_struct("SandboxHandle").field(name, place).finish_non_exhaustive()
    }
}

impl SandboxHandle {
    pub(super) fn through(client: Client, id: String) -> Self {
        Self { client, route: Route::Through(id) }
    }

    pub(super) fn direct(client: Client, target: Target) -> Self {
        Self { client, route: Route::Direct(target) }
    }

    pub(super) fn call(&self, method: Method, path: &str) -> Result<Call<'_>, Error> {
        Ok(match &self.route {
            Route::Through(id) => {
                let path = format!("/v1/sandboxes/{}/runtime{path}", segment(id)?);
                Call::new(&self.client.inner.orchestrator, method, path)
            }
            Route::Direct(target) => Call::new(target, method, path.to_owned()),
        })
    }

    /// Runs a command and waits for its end. Without a time-out of its own the command may run for as
    /// long as the client's calls may take.
    ///
    /// A command that fails is no error: look at its exit code. Never repeated.
    ///
    /// # Errors
    /// When the command could not be run, or its outcome is unknown.
    pub async fn exec(&self, exec: &Exec) -> Result<ExecResult, Error> {
        let (limit, patience) = self.limits(exec.timeout);
        let exec = Exec { timeout: Some(limit), ..exec.clone() };
        let call = self.call(Method::POST, "/terminals/commands")?.json(&exec)?.timeout(patience);
        decode(&self.client.send(call).await?, "the outcome of a command")
    }

    /// How many milliseconds something may run that is waited for, and how long to wait.
    pub(super) fn limits(&self, asked: Option<u64>) -> (u64, Duration) {
        let limit = asked.map_or(self.client.timeout, Duration::from_millis);
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        (millis, limit.saturating_add(EXEC_GRACE))
    }
}

//! The life of sandboxes.

use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep};

use super::{
    Client, Error,
    answer::decode,
    http::{Call, segment},
};
use crate::types::{CreateSandbox, Sandbox, SandboxStatus};

const PATH: &str = "/v1/sandboxes";
/// First pause between two looks at a sandbox; a local one is there by then.
const FIRST_POLL: Duration = Duration::from_millis(50);

/// Which sandboxes to list.
#[derive(Clone, Debug, Default)]
pub struct ListSandboxes {
    /// Only those in one of these states; empty: all.
    pub status: Vec<SandboxStatus>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Skip so many.
    pub offset: Option<u32>,
}

/// How to wait for a state.
#[derive(Clone, Copy, Debug)]
pub struct WaitOptions {
    /// Longest time to wait. Default 2 minutes.
    pub timeout: Duration,
    /// Longest pause between two looks; the first ones are shorter. Default 2 s.
    pub interval: Duration,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), interval: Duration::from_secs(2) }
    }
}

/// See [`Client::sandboxes`].
#[derive(Clone, Copy, Debug)]
pub struct Sandboxes<'a>(pub(super) &'a Client);

impl Sandboxes<'_> {
    /// Makes a sandbox. With an idempotency key the same call again gives the same sandbox, and
    /// transient failures are retried.
    ///
    /// # Errors
    /// 403 when the driver is not allowed, 429 when the quota is used up.
    pub async fn create(&self, create: &CreateSandbox) -> Result<Sandbox, Error> {
        let repeatable = create.idempotency_key.is_some();
        let call = self.call(Method::POST, PATH.into()).json(create)?.repeatable(repeatable);
        decode(&self.0.send(call).await?, "a sandbox")
    }

    /// A sandbox; `None` when there is no such.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn get(&self, id: &str) -> Result<Option<Sandbox>, Error> {
        let call = self.call(Method::GET, format!("{PATH}/{}", segment(id)?));
        match self.0.send(call).await {
            Ok(body) => decode(&body, "a sandbox").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sandboxes, newest first.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn list(&self, list: &ListSandboxes) -> Result<Vec<Sandbox>, Error> {
        let mut call = self.call(Method::GET, PATH.into());
        for status in &list.status {
            call = call.query("status", status.as_str());
        }
        for (name, value) in [("limit", list.limit), ("offset", list.offset)] {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        decode(&self.0.send(call).await?, "a list of sandboxes")
    }

    /// Stops a sandbox; its workspace stays.
    ///
    /// # Errors
    /// 404 for an unknown sandbox, 409 when it cannot be stopped now.
    pub async fn stop(&self, id: &str) -> Result<Sandbox, Error> {
        self.change(id, "stop").await
    }

    /// Starts a stopped sandbox.
    ///
    /// # Errors
    /// 404 for an unknown sandbox, 409 when it cannot be started now.
    pub async fn resume(&self, id: &str) -> Result<Sandbox, Error> {
        self.change(id, "resume").await
    }

    /// Deletes a sandbox with everything in it. One that is gone already is no error.
    ///
    /// # Errors
    /// When it is unknown whether it was deleted.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let call = self.call(Method::DELETE, format!("{PATH}/{}", segment(id)?));
        match self.0.send(call).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until a sandbox is in a state.
    ///
    /// # Errors
    /// [`Error::SandboxLost`] when it failed, expired or was deleted instead; [`Error::Timeout`].
    pub async fn wait_for(
        &self,
        id: &str,
        status: SandboxStatus,
        options: WaitOptions,
    ) -> Result<Sandbox, Error> {
        let deadline = Instant::now() + options.timeout;
        let mut pause = FIRST_POLL;
        loop {
            let lost = |status, reason| Error::SandboxLost { id: id.to_owned(), status, reason };
            let Some(sandbox) = self.get(id).await? else {
                return Err(lost(SandboxStatus::Deleted, None));
            };
            if sandbox.status == status {
                return Ok(sandbox);
            }
            if sandbox.status.is_final() {
                return Err(lost(sandbox.status, sandbox.error));
            }
            if Instant::now() + pause >= deadline {
                return Err(Error::Timeout(options.timeout));
            }
            sleep(pause).await;
            pause = pause.mul_f64(1.5).min(options.interval);
        }
    }

    async fn change(&self, id: &str, verb: &str) -> Result<Sandbox, Error> {
        let call = self.call(Method::POST, format!("{PATH}/{}/{verb}", segment(id)?));
        let body = self.0.send(call).await?;
        // Some services answer with nothing of use here.
        match decode(&body, "a sandbox") {
            Ok(sandbox) => Ok(sandbox),
            Err(error) => self.get(id).await?.ok_or(error),
        }
    }

    pub(super) fn call(&self, method: Method, path: String) -> Call<'_> {
        Call::new(&self.0.inner.api, method, path)
    }

    /// A call about one sandbox; `rest` begins with a slash.
    pub(super) fn call_of(&self, method: Method, id: &str, rest: &str) -> Result<Call<'_>, Error> {
        Ok(self.call(method, format!("{PATH}/{}{rest}", segment(id)?)))
    }
}

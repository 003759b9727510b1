//! REST client of the sandbox API and the orchestrator.
//!
//! ```no_run
//! use sandbox_sdk::client::{Client, ClientConfig, WaitOptions};
//! use sandbox_sdk::types::{CreateSandbox, Exec, SandboxStatus};
//!
//! # async fn example() -> Result<(), sandbox_sdk::client::Error> {
//! let client = Client::new(ClientConfig::new("http://127.0.0.1:4095", "orch_prod_…"))?;
//! let made = client.sandboxes().create(&CreateSandbox::default()).await?;
//! client.sandboxes().wait_for(&made.id, SandboxStatus::Running, WaitOptions::default()).await?;
//! let exec = Exec { command: "ls".into(), ..Exec::default() };
//! println!("{}", client.sandbox(&made.id).exec(&exec).await?.stdout);
//! # Ok(())
//! # }
//! ```
//!
//! **Retries.** What can be repeated without harm is repeated on its own, within the call's time-out:
//! reads, `PUT`, `DELETE`, a sandbox made under an idempotency key, and dispatches, which the turn id
//! makes idempotent. Commands and writes into files are never repeated: nobody can tell whether the
//! lost request had run. [`Error::is_retryable`] says what the caller may do.

mod answer;
mod batch;
mod error;
mod events;
mod files;
mod folders;
mod git;
mod http;
mod interactions;
mod network;
mod output;
mod processes;
mod projects;
mod sandbox;
mod sandboxes;
mod search;
mod secrets;
mod sessions;
mod snapshots;
mod sse;
mod streamed;
mod terminals;
mod tokens;
mod transfers;
mod turns;

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Method, Url, redirect};
use secrecy::{ExposeSecret, SecretString};

pub use error::Error;
pub use events::EventStream;
pub use git::Git;
pub use output::{Exit, Output};
pub use projects::Projects;
pub use sandbox::SandboxHandle;
pub use sandboxes::{ListSandboxes, Sandboxes, WaitOptions};
pub use secrets::Secrets;
pub use sse::{SseEvent, SseParser};
pub use streamed::Streamed;
pub use terminals::TerminalOutput;

use crate::types::{AgentCatalog, Connection, SessionMapping, TraceParent};
use answer::decode;
use http::{Call, Target, segment};

/// Longest time to a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the services are and how to authenticate.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The sandbox API, without a path: `https://api.example.com`.
    pub base_url: String,
    /// The orchestrator, when it is another service than the sandbox API.
    pub orchestrator_url: Option<String>,
    /// Sent as bearer; never shown.
    pub api_key: SecretString,
    /// Longest time a call may take, its retries included. Default 30 s.
    pub timeout: Duration,
    /// On whose behalf calls are made, sent as `x-user-id`.
    pub user: Option<String>,
}

impl ClientConfig {
    /// One service for everything, 30 s a call.
    pub fn new(base_url: impl Into<String>, api_key: impl Into<SecretString>) -> Self {
        Self {
            base_url: base_url.into(),
            orchestrator_url: None,
            api_key: api_key.into(),
            timeout: Duration::from_secs(30),
            user: None,
        }
    }
}

/// Talks to the sandbox API and the orchestrator. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    timeout: Duration,
    user: Option<String>,
    trace: Option<TraceParent>,
}

struct Inner {
    http: reqwest::Client,
    api: Target,
    orchestrator: Target,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("api", &self.inner.api.base)
            .field("orchestrator", &self.inner.orchestrator.base)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When a URL is not an absolute `http(s)` one without credentials, or the API key is empty.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        if config.api_key.expose_secret().is_empty() {
            return Err(Error::InvalidArgument("the API key is empty".into()));
        }
        let api = Target::new(&config.base_url, config.api_key.clone())?;
        let orchestrator = match &config.orchestrator_url {
            Some(url) => Target::new(url, config.api_key)?,
            None => api.clone(),
        };
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect could carry the key elsewhere; no service of this API sends one.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("sandbox-sdk/", env!("CARGO_PKG_VERSION")));
        if [&api, &orchestrator].iter().all(|target| is_loopback(&target.base)) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(Error::transport)?;
        let inner = Arc::new(Inner { http, api, orchestrator });
        Ok(Self { inner, timeout: config.timeout, user: config.user, trace: None })
    }

    /// The same client with another time-out a call.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The same client, calling on behalf of a user.
    #[must_use]
    pub fn for_user(&self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self.clone() }
    }

    /// The same client, whose calls belong to a trace: each carries it as `traceparent`. Without one
    /// they carry none.
    #[must_use]
    pub fn with_trace(&self, trace: TraceParent) -> Self {
        Self { trace: Some(trace), ..self.clone() }
    }

    /// The life of sandboxes, their snapshots, networks and tokens.
    pub fn sandboxes(&self) -> Sandboxes<'_> {
        Sandboxes(self)
    }

    /// The orchestrator's projects: the same sandboxes under their older name.
    pub fn projects(&self) -> Projects<'_> {
        Projects(self)
    }

    /// What happens inside one sandbox, through the orchestrator.
    pub fn sandbox(&self, id: impl Into<String>) -> SandboxHandle {
        SandboxHandle::through(self.clone(), id.into())
    }

    /// What happens inside one sandbox, straight to its sidecar, with that sandbox's own token.
    ///
    /// # Errors
    /// When the connection's URL is not an absolute `http(s)` one.
    pub fn sidecar(&self, connection: &Connection) -> Result<SandboxHandle, Error> {
        let token = SecretString::from(connection.auth_token.clone());
        let target = Target::new(&connection.sidecar_url, token)?;
        Ok(SandboxHandle::direct(self.clone(), target))
    }

    /// Which agents and models a turn can be run with.
    ///
    /// # Errors
    /// When it could not be read; 404 from an orchestrator that does not tell.
    pub async fn agents(&self) -> Result<AgentCatalog, Error> {
        let call = Call::new(&self.inner.orchestrator, Method::GET, "/v1/agents".into());
        decode(&self.send(call).await?, "a catalog of agents")
    }

    /// Says whose an agent session is and where it runs. It must have succeeded before a viewer connects.
    ///
    /// # Errors
    /// 404 for an unknown sandbox (see [`Error::reprovision_required`]), 409 for another user's session.
    pub async fn register_mapping(
        &self,
        session_id: &str,
        mapping: &SessionMapping,
    ) -> Result<(), Error> {
        let path = format!("/v1/session/{}/mapping", segment(session_id)?);
        let call = Call::new(&self.inner.orchestrator, Method::PUT, path).json(mapping)?;
        self.send(call).await.map(drop)
    }

    /// Whether the orchestrator answers.
    ///
    /// # Errors
    /// When it does not, or not with success.
    pub async fn health(&self) -> Result<(), Error> {
        let call = Call::new(&self.inner.orchestrator, Method::GET, "/health".into());
        self.send(call).await.map(drop)
    }
}

fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    match url.as_ref().and_then(Url::host_str) {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

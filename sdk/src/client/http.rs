//! One call: authentication, time-out, retries.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Method, RequestBuilder, Response, Url, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Client, Error, answer::api_error};
use crate::{
    backoff::{Backoff, Jitter},
    types::TraceParent,
};

/// Most attempts at one call.
const MAX_ATTEMPTS: u32 = 4;
const BACKOFF: Backoff = Backoff { first_ms: 250.0, factor: 2.0, cap_ms: 2000.0, jitter: 0.2 };
/// Longest answer that is read, so that a wild service cannot fill the memory.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A service and the token that opens it.
#[derive(Clone)]
pub(super) struct Target {
    /// Without a trailing slash.
    pub(super) base: String,
    token: SecretString,
}

impl Target {
    pub(super) fn new(url: &str, token: SecretString) -> Result<Self, Error> {
        let parsed = Url::parse(url)
            .map_err(|_| Error::InvalidArgument("a service needs an absolute URL".into()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(Error::InvalidArgument("a service needs an http or https URL".into()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Error::InvalidArgument("credentials do not belong into a URL".into()));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(Error::InvalidArgument("a service's URL ends with its path".into()));
        }
        Ok(Self { base: parsed.as_str().trim_end_matches('/').to_owned(), token })
    }
}

/// Checks an id that becomes part of a path.
pub(super) fn segment(id: &str) -> Result<&str, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
    if (1..=160).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('.') {
        Ok(id)
    } else {
        Err(Error::InvalidArgument(
            "an id has 1 to 160 characters of letters, digits, '-', '_', ':' and '.'".into(),
        ))
    }
}

/// A request that can be sent again.
pub(super) struct Call<'a> {
    target: &'a Target,
    method: Method,
    path: String,
    body: Option<Bytes>,
    /// Type of the body.
    kind: &'static str,
    query: Vec<(&'static str, String)>,
    repeatable: bool,
    timeout: Option<Duration>,
}

impl<'a> Call<'a> {
    pub(super) fn new(target: &'a Target, method: Method, path: String) -> Self {
        let repeatable = method != Method::POST;
        let (body, kind, query) = (None, "application/json", Vec::new());
        Self { target, method, path, body, kind, query, repeatable, timeout: None }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::InvalidArgument(format!("not serialisable: {error}")))?;
        self.body = Some(body.into());
        Ok(self)
    }

    pub(super) fn bytes(self, body: Bytes) -> Self {
        Self { body: Some(body), kind: "application/octet-stream", ..self }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Says of a `POST` whether it does no harm twice.
    pub(super) fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl Client {
    /// Sends a call until it succeeds, may not be repeated, or its time is over.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Bytes, Error> {
        let timeout = call.timeout.unwrap_or(self.timeout);
        let deadline = Instant::now() + timeout;
        let mut jitter = Jitter::seeded();
        for attempt in 1.. {
            let result = match timeout_at(deadline, self.attempt(&call)).await {
                Ok(result) => result,
                Err(_) => return Err(Error::Timeout(timeout)),
            };
            let Err(error) = result else { return result };
            let pause = error
                .retry_after()
                .unwrap_or_else(|| Duration::from_millis(BACKOFF.pause(attempt, &mut jitter)));
            let again = call.repeatable && error.is_retryable() && attempt < MAX_ATTEMPTS;
            // A service that wants to be left alone for longer than the call may last is the
            // caller's to wait for.
            let next = Instant::now().checked_add(pause).filter(|next| *next < deadline);
            if !again || next.is_none() {
                return Err(error);
            }
            sleep(pause).await;
        }
        Err(Error::Timeout(timeout))
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Bytes, Error> {
        let response = self.request(call).send().await.map_err(Error::transport)?;
        let response = refuse_failure(response).await?;
        read_body(response).await
    }

    /// Opens a stream of events: the time-out counts until the headers are there.
    pub(super) async fn open(&self, call: Call<'_>) -> Result<Response, Error> {
        self.open_as(call, "text/event-stream").await
    }

    /// The same for a stream of another type.
    pub(super) async fn open_as(
        &self,
        call: Call<'_>,
        accept: &'static str,
    ) -> Result<Response, Error> {
        let deadline = Instant::now() + self.timeout;
        let request = self.request(&call).header(header::ACCEPT, accept);
        let opening = async {
            let response = request.send().await.map_err(Error::transport)?;
            refuse_failure(response).await
        };
        timeout_at(deadline, opening).await.unwrap_or(Err(Error::Timeout(self.timeout)))
    }

    fn request(&self, call: &Call<'_>) -> RequestBuilder {
        let url = format!("{}{}", call.target.base, call.path);
        let mut request = self
            .inner
            .http
            .request(call.method.clone(), url)
            .bearer_auth(call.target.token.expose_secret());
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(user) = &self.user {
            request = request.header("x-user-id", user);
        }
        if let Some(trace) = &self.trace {
            request = request.header(TraceParent::HEADER, trace.to_string());
        }
        match &call.body {
            Some(body) => request.header(header::CONTENT_TYPE, call.kind).body(body.clone()),
            None => request,
        }
    }
}

async fn refuse_failure(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let request_id = header("x-request-id");
    let retry_after = header("retry-after");
    let body = read_body(response).await.unwrap_or_default();
    Err(api_error(status.as_u16(), &body, request_id, retry_after.as_deref()))
}

async fn read_body(mut response: Response) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(Error::transport)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Error::Decode { context: "it is too long", source: None });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

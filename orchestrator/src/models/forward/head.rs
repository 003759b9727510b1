//! What of the head of a request, and of that of its answer, goes on.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use reqwest::Method;
use sandbox_sdk::types::WireFormat;

use super::super::provider::Provider;

/// Headers of the client that a provider gets to see. Everything else stays here.
const FORWARDED: [HeaderName; 4] = [
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
    header::ACCEPT,
];
/// Headers of the provider that the client gets to see. The others tell about the operator's account.
pub(super) const RETURNED: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-request-id"),
];
/// Longest header that is passed on, in bytes.
const MAX_HEADER: usize = 1024;

/// What of the request's head goes on.
#[derive(Debug)]
pub(in crate::models) struct Head {
    pub(super) format: WireFormat,
    path: &'static str,
    headers: HeaderMap,
}

impl Head {
    pub(in crate::models) fn new(
        format: WireFormat,
        sent: &HeaderMap,
        query: Option<&str>,
        counting: bool,
    ) -> Self {
        let mut headers = pick(sent, &FORWARDED);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if format == WireFormat::Messages {
            let (name, version) = Provider::version();
            headers.entry(name).or_insert(version);
        }
        // The one query that a client is known to send; it changes nothing but the address.
        let beta = query == Some("beta=true");
        let path = match (format, counting, beta) {
            (WireFormat::Messages, false, false) => "/messages",
            (WireFormat::Messages, false, true) => "/messages?beta=true",
            (WireFormat::Messages, true, false) => "/messages/count_tokens",
            (WireFormat::Messages, true, true) => "/messages/count_tokens?beta=true",
            (WireFormat::Responses, ..) => "/responses",
            (WireFormat::ChatCompletions, ..) => "/chat/completions",
        };
        Self { format, path, headers }
    }

    pub(super) fn request(self, provider: &Provider, body: Bytes) -> reqwest::RequestBuilder {
        provider.request(Method::POST, self.path).headers(self.headers).body(body)
    }
}

/// The headers of these names, unless they are too long.
pub(super) fn pick(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut picked = HeaderMap::new();
    for name in names {
        if let Some(value) = headers.get(name).filter(|value| value.len() <= MAX_HEADER) {
            picked.insert(name.clone(), value.clone());
        }
    }
    picked
}

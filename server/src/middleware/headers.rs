//! Security headers, and the nonce that names the scripts of one page as ours.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use leptos::nonce::Nonce;

use crate::AppState;

/// The nonce of one page: an extension of its request.
#[derive(Clone, Debug)]
pub(crate) struct PageNonce(pub(crate) Nonce);

/// The content security policy, all but the nonce.
#[derive(Clone, Debug)]
pub(crate) struct ContentPolicy {
    connect: String,
}

impl ContentPolicy {
    /// `gateway_url`: the only foreign address a page may connect to. `reload`: port of the tool that
    /// reloads pages while somebody works on them.
    pub(crate) fn new(gateway_url: &str, reload: Option<u32>) -> Self {
        let mut connect = "'self'".to_owned();
        if let Some(gateway) = websocket_origin(gateway_url) {
            connect.push(' ');
            connect.push_str(&gateway);
        }
        if let Some(port) = reload {
            connect.push_str(&format!(" ws://127.0.0.1:{port} ws://localhost:{port}"));
        }
        Self { connect }
    }

    fn with_nonce(&self, nonce: &str) -> String {
        format!(
            "default-src 'none'; \
             script-src 'self' 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
             style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; font-src 'self'; \
             manifest-src 'self'; connect-src {}; frame-ancestors 'none'; base-uri 'none'; \
             object-src 'none'; form-action 'self'",
            self.connect
        )
    }
}

/// `ws://host:port` of a WebSocket address.
fn websocket_origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "ws" | "wss"))?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    Some(format!("{scheme}://{authority}"))
}

pub(crate) async fn security_headers(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let nonce = Nonce::new();
    request.extensions_mut().insert(PageNonce(nonce.clone()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(state.policy().with_nonce(&nonce)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if state.web().origins.are_https() {
        set(headers, STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, X_FRAME_OPTIONS, "DENY");
    set(headers, REFERRER_POLICY, "no-referrer");
    set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(
        headers,
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    // Pages and answers are one person's; assets say for themselves how long they are good for.
    if !headers.contains_key(CACHE_CONTROL) {
        set(headers, CACHE_CONTROL, "no-store");
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gateways_origin_is_added_to_what_pages_may_connect_to() {
        let policy = ContentPolicy::new("wss://sandboxes.example.com/session?x=1", None);
        let written = policy.with_nonce("abc");
        assert!(written.contains("connect-src 'self' wss://sandboxes.example.com;"), "{written}");
        assert!(written.contains("script-src 'self' 'nonce-abc'"), "{written}");
    }

    #[test]
    fn what_is_no_websocket_address_is_not_added() {
        for url in ["", "javascript:alert(1)", "http://a", "wss://u:p@a", "wss://a b"] {
            assert_eq!(ContentPolicy::new(url, None).connect, "'self'", "{url}");
        }
    }
}

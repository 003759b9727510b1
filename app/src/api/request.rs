//! The request a server function answers: who calls, and how errors reach the response.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use backend::{Account, Backend, SessionToken};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use http::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use crate::error::{AppError, chain};

/// The cookie of a web session. Its prefix makes browsers refuse it without `Secure`, with a
/// `Domain`, or for part of the site only.
pub const SESSION_COOKIE: &str = "__Host-skein";

/// Longest value of the session cookie that is looked at; real ones have 43 characters.
const MAX_TOKEN_LENGTH: usize = 64;

/// What the server puts into the Leptos context for every page and every server function.
#[derive(Clone, Debug)]
pub struct ServerContext {
    pub backend: Backend,
    pub guests: GuestLimiter,
}

/// Who a request comes from, as far as the network knows: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Limits how many guests one client can make, each of which is given credits.
#[derive(Clone)]
pub struct GuestLimiter(Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>);

impl std::fmt::Debug for GuestLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GuestLimiter").field(&self.0.is_some()).finish()
    }
}

impl GuestLimiter {
    /// At most `per_hour` new guests a client and hour; 0 sets no limit.
    pub fn new(per_hour: u32) -> Self {
        let quota = std::num::NonZeroU32::new(per_hour).map(Quota::per_hour);
        Self(quota.map(|quota| Arc::new(DefaultKeyedRateLimiter::keyed(quota))))
    }

    fn check(&self, client: IpAddr) -> Result<(), AppError> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        // Forgets clients whose allowance is whole again, so that the table can't be filled up.
        if limiter.len() > 10_000 {
            limiter.retain_recent();
        }
        limiter.check_key(&network(client)).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            AppError::RateLimited { retry_after_s: wait.as_secs() + 1 }
        })
    }
}

/// The part of an address that one client holds: all of IPv4, the first 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            IpAddr::V6(std::net::Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        v4 => v4,
    }
}

/// An authenticated caller and the backend to ask on their behalf.
pub(super) struct Caller {
    pub(super) backend: Backend,
    pub(super) account: Account,
}

impl Caller {
    /// The caller, if the request's cookie names a living session.
    pub(super) async fn if_known() -> Result<Option<Self>, AppError> {
        let backend = backend()?;
        let Some(token) = session_cookie() else { return Ok(None) };
        let account = backend.authenticate(&token).await?;
        Ok(account.map(|account| Self { backend, account }))
    }

    /// The caller; nobody else gets past this.
    pub(super) async fn known() -> Result<Self, AppError> {
        Self::if_known().await?.ok_or_else(|| answered(AppError::Unauthenticated))
    }

    /// The caller, made a guest on the spot if there is none.
    pub(super) async fn known_or_new_guest() -> Result<Self, AppError> {
        if let Some(caller) = Self::if_known().await? {
            return Ok(caller);
        }
        let context = context()?;
        let client = use_context::<Parts>()
            .and_then(|parts| parts.extensions.get::<ClientAddress>().copied())
            .ok_or_else(|| internal("the request carries no client address"))?;
        context.guests.check(client.0).map_err(answered)?;
        let (account, token) = context.backend.create_guest().await?;
        set_session_cookie(&token)?;
        Ok(Self { backend: context.backend, account })
    }
}

/// The backend of the server that runs this function.
pub(super) fn backend() -> Result<Backend, AppError> {
    context().map(|context| context.backend)
}

fn context() -> Result<ServerContext, AppError> {
    use_context().ok_or_else(|| internal("no server context is provided"))
}

/// The session token of the request. Two different ones, or one that can't be a token, count as none.
fn session_cookie() -> Option<String> {
    let parts = use_context::<Parts>()?;
    let mut found = None;
    for header in parts.headers.get_all(COOKIE) {
        for pair in header.to_str().ok()?.split(';') {
            let Some((name, value)) = pair.trim().split_once('=') else { continue };
            if name != SESSION_COOKIE {
                continue;
            }
            if found.is_some_and(|known| known != value) {
                return None;
            }
            found = Some(value);
        }
    }
    let plausible = |token: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !token.is_empty() && token.len() <= MAX_TOKEN_LENGTH && token.bytes().all(allowed)
    };
    found.filter(plausible).map(str::to_owned)
}

fn set_session_cookie(token: &SessionToken) -> Result<(), AppError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let max_age = token.expires_at().saturating_sub_unsigned(now).max(0);
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}",
        token.expose()
    );
    let mut value = HeaderValue::try_from(cookie).map_err(|error| internal(&error.to_string()))?;
    value.set_sensitive(true);
    let response = use_context::<ResponseOptions>()
        .ok_or_else(|| internal("a guest can't be made where no cookie can be set"))?;
    response.append_header(SET_COOKIE, value);
    Ok(())
}

/// Lets an error decide the status of the response, be it a server function's or a page's.
pub(crate) fn answered(error: AppError) -> AppError {
    if let Some(response) = use_context::<ResponseOptions>() {
        if let Ok(status) = StatusCode::from_u16(error.status()) {
            response.set_status(status);
        }
        if let AppError::RateLimited { retry_after_s } = error {
            response.insert_header(RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
    }
    error
}

/// The id under which the log has this request.
pub(crate) fn request_id() -> String {
    use_context::<Parts>()
        .and_then(|parts| Some(parts.headers.get("x-request-id")?.to_str().ok()?.to_owned()))
        .unwrap_or_else(|| "none".into())
}

fn internal(reason: &str) -> AppError {
    let request_id = request_id();
    tracing::error!(request.id = request_id, error = reason, "request failed");
    answered(AppError::Internal { request_id })
}

/// Where the backend's errors become the page's: logged once with their causes, told without them.
impl From<backend::Error> for AppError {
    fn from(error: backend::Error) -> Self {
        use backend::Error;
        let told = match error {
            Error::Unauthenticated => Self::Unauthenticated,
            Error::NotFound => Self::NotFound,
            Error::InsufficientCredits { available, needed } => {
                Self::InsufficientCredits { available: available.into(), needed: needed.into() }
            }
            Error::Invalid { field, message } => Self::Invalid { field: field.into(), message },
            Error::Conflict { message } => Self::Conflict { message },
            Error::RateLimited { retry_after_s } => Self::RateLimited { retry_after_s },
            Error::Unavailable { message } => {
                tracing::warn!(request.id = request_id(), error = %message, "a service is away");
                Self::Unavailable { message }
            }
            other => return internal(&chain(&other)),
        };
        answered(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie_of(headers: &[&str]) -> Option<String> {
        let mut request = http::Request::new(());
        for header in headers {
            request.headers_mut().append(COOKIE, header.parse().unwrap());
        }
        let (parts, ()) = request.into_parts();
        Owner::new().with(|| {
            provide_context(parts);
            session_cookie()
        })
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let found = cookie_of(&["theme=dark; __Host-skein=abc_DEF-1", "x=y"]);
        assert_eq!(found.as_deref(), Some("abc_DEF-1"));
    }

    #[test]
    fn what_cannot_be_a_token_is_no_session() {
        assert_eq!(cookie_of(&["__Host-skein="]), None);
        assert_eq!(cookie_of(&["__Host-skein=a b"]), None);
        assert_eq!(cookie_of(&[&format!("__Host-skein={}", "a".repeat(16_000))]), None);
        assert_eq!(cookie_of(&["__host-skein=abc"]), None);
    }

    #[test]
    fn two_different_session_cookies_are_none() {
        assert_eq!(cookie_of(&["__Host-skein=abc; __Host-skein=abd"]), None);
        assert_eq!(cookie_of(&["__Host-skein=abc", "__Host-skein=abc"]).as_deref(), Some("abc"));
    }

    #[test]
    fn guests_of_one_network_share_one_allowance() {
        let limiter = GuestLimiter::new(2);
        let ip = |address: &str| address.parse::<IpAddr>().unwrap();
        assert!(limiter.check(ip("2001:db8::1")).is_ok());
        assert!(limiter.check(ip("2001:db8::2")).is_ok());
        assert!(matches!(
            limiter.check(ip("2001:db8::3")),
            Err(AppError::RateLimited { retry_after_s }) if retry_after_s > 0
        ));
        assert!(limiter.check(ip("2001:db8:0:1::1")).is_ok());
        assert!(limiter.check(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn an_ipv4_address_inside_ipv6_is_the_same_client() {
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let limiter = GuestLimiter::new(0);
        assert!((0..1000).all(|_| limiter.check([127, 0, 0, 1].into()).is_ok()));
    }
}

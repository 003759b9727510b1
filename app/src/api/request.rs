//! The request a server function answers: who calls, and how errors reach the response.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use backend::{Account, Backend, SessionToken, StartTurn};
use http::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use super::answers::AnswerLimiter;
use super::guests::GuestLimiter;
use crate::error::{AppError, chain};

/// What the name of the session cookie begins with. Its prefix makes browsers refuse it without
/// `Secure`, with a `Domain`, or for part of the site only.
const SESSION_COOKIE: &str = "__Host-skein-";

/// Longest value of the session cookie that is looked at; real ones have 43 characters.
const MAX_TOKEN_LENGTH: usize = 64;

/// What the server puts into the Leptos context for every page and every server function.
#[derive(Clone, Debug)]
pub struct ServerContext {
    pub backend: Backend,
    pub guests: GuestLimiter,
    answers: AnswerLimiter,
    /// Browsers keep the cookies of a host apart by name only, not by port: two installations on one
    /// machine need two names.
    cookie: String,
}

impl ServerContext {
    /// `guests_per_hour`: new guests an hour and client; 0 sets no limit.
    pub fn new(backend: Backend, guests_per_hour: u32) -> Self {
        let cookie = format!("{SESSION_COOKIE}{}", backend.installation());
        let guests = GuestLimiter::new(guests_per_hour);
        Self { backend, guests, answers: AnswerLimiter::default(), cookie }
    }

    /// Name of the session cookie.
    pub fn cookie_name(&self) -> &str {
        &self.cookie
    }

    /// The cookie for somebody who opens a page without one. It opens nothing yet: whoever brings it
    /// with a first message becomes a guest under it, and so the same message, sent again because its
    /// answer was lost, comes from the same guest.
    pub fn visitor_cookie(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let given = session_cookie(request, &self.cookie);
        if given.is_some_and(|secret| self.backend.given_session(&secret).is_some()) {
            return None;
        }
        let made = self.backend.new_session().map_err(|error| chain(&error));
        let cookie = made.and_then(|token| set_cookie(&self.cookie, &token));
        // The first message makes one all the same.
        cookie.inspect_err(|error| tracing::error!(error, "a visitor gets no cookie")).ok()
    }

    /// The secret that this request's browser brought.
    fn secret(&self) -> Option<String> {
        session_cookie(&use_context::<Parts>()?.headers, &self.cookie)
    }
}

/// Who a request comes from, as far as the network knows: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// An authenticated caller and the backend to ask on their behalf.
pub(super) struct Caller {
    pub(super) backend: Backend,
    pub(super) account: Account,
}

impl Caller {
    /// The caller, if the request's cookie names a living session.
    pub(super) async fn if_known() -> Result<Option<Self>, AppError> {
        let context = context()?;
        let Some(token) = context.secret() else { return Ok(None) };
        let account = context.backend.authenticate(&token).await?;
        Ok(account.map(|account| Self { backend: context.backend, account }))
    }

    /// The caller; nobody else gets past this.
    pub(super) async fn known() -> Result<Self, AppError> {
        Self::if_known().await?.ok_or_else(|| answered(AppError::Unauthenticated))
    }

    /// Whether the caller may answer an agent now.
    pub(super) fn may_answer(&self) -> Result<(), AppError> {
        context()?.answers.check(self.account.id().as_str()).map_err(answered)
    }

    /// The caller, made a guest on the spot if there is none and the request makes sense.
    pub(super) async fn known_or_new_guest(request: &StartTurn) -> Result<Self, AppError> {
        if let Some(caller) = Self::if_known().await? {
            return Ok(caller);
        }
        let context = context()?;
        context.backend.check_turn(request).await?;
        if request.chat_id.is_some() {
            // Whose it may be, it is not theirs.
            return Err(answered(AppError::NotFound));
        }
        let client = use_context::<Parts>()
            .and_then(|parts| parts.extensions.get::<ClientAddress>().copied())
            .ok_or_else(|| internal("the request carries no client address"))?;
        context.guests.check(client.0).map_err(answered)?;
        let token = match context.secret().and_then(|it| context.backend.given_session(&it)) {
            Some(token) => token,
            None => context.backend.new_session()?,
        };
        let account = context.backend.create_guest(&token).await?;
        let cookie = set_cookie(&context.cookie, &token).map_err(|error| internal(&error))?;
        let response = use_context::<ResponseOptions>()
            .ok_or_else(|| internal("a guest can't be made where no cookie can be set"))?;
        response.append_header(SET_COOKIE, cookie);
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

/// The session token in a request. Two different ones, or one that can't be a token, count as none.
fn session_cookie(request: &HeaderMap, cookie: &str) -> Option<String> {
    let mut found = None;
    for header in request.get_all(COOKIE) {
        for pair in header.to_str().ok()?.split(';') {
            let Some((name, value)) = pair.trim().split_once('=') else { continue };
            if name != cookie {
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

fn set_cookie(name: &str, token: &SessionToken) -> Result<HeaderValue, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let max_age = token.expires_at().saturating_sub_unsigned(now).max(0);
    let cookie = format!(
        "{name}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}",
        token.expose()
    );
    let mut value = HeaderValue::try_from(cookie).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
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
            Error::NotWaiting => Self::NotWaiting,
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

    const NAME: &str = "__Host-skein-0a1b2c";

    fn cookie_of(headers: &[&str]) -> Option<String> {
        let mut request = HeaderMap::new();
        for header in headers {
            request.append(COOKIE, header.parse().unwrap());
        }
        session_cookie(&request, NAME)
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let found = cookie_of(&[&format!("theme=dark; {NAME}=abc_DEF-1"), "x=y"]);
        assert_eq!(found.as_deref(), Some("abc_DEF-1"));
        let neighbour = format!("__Host-skein-d4e5f6=abd; {NAME}=abc");
        assert_eq!(cookie_of(&[&neighbour]).as_deref(), Some("abc"));
    }

    #[test]
    fn what_cannot_be_a_token_is_no_session() {
        assert_eq!(cookie_of(&[&format!("{NAME}=")]), None);
        assert_eq!(cookie_of(&[&format!("{NAME}=a b")]), None);
        assert_eq!(cookie_of(&[&format!("{NAME}={}", "a".repeat(16_000))]), None);
        assert_eq!(cookie_of(&[&format!("{}=abc", NAME.to_lowercase())]), None);
    }

    #[test]
    fn two_different_session_cookies_are_none() {
        assert_eq!(cookie_of(&[&format!("{NAME}=abc; {NAME}=abd")]), None);
        let twice = [format!("{NAME}=abc"), format!("{NAME}=abc")];
        assert_eq!(cookie_of(&[&twice[0], &twice[1]]).as_deref(), Some("abc"));
    }
}

//! What a viewer shows before it is let in: origin, token, wishes.

use axum::http::{HeaderMap, Uri, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use sandbox_sdk::types::{ErrorCode, SUBPROTOCOL};

use super::frames::Format;
use crate::{error::ApiError, flaw::Flaw};

const BEARER: &str = "bearer.";

/// An upgrade request, read.
#[derive(Clone, Default)]
pub(super) struct Admission {
    /// The token, if it came with the request; its first message may bring it otherwise.
    pub(super) token: Option<String>,
    /// What to answer as the selected subprotocol; a browser insists on one of those it offered.
    pub(super) subprotocol: Option<String>,
    pub(super) session_id: Option<String>,
    /// `None`: the session's own channel.
    pub(super) channels: Option<Vec<String>>,
    /// `Err`: there is one, but it is no number.
    pub(super) since: Option<Result<u64, ()>>,
    pub(super) format: Format,
}

impl Admission {
    /// Reads the request. Refuses one from a page that has no business here, before anything else.
    pub(super) fn read(
        origins: &[String],
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Self, ApiError> {
        let mut admission = Self::default();
        let bearer = admission.read_headers(headers);
        check_origin(origins, headers, bearer)?;
        admission.read_query(uri.query().unwrap_or_default())?;
        Ok(admission)
    }

    /// `true`: the token stands in a header, where no page can put it without being asked.
    fn read_headers(&mut self, headers: &HeaderMap) -> bool {
        let mut carrier = None;
        for protocol in offered(headers) {
            if protocol == SUBPROTOCOL {
                self.subprotocol = Some(protocol.to_owned());
            } else if let Some(encoded) = protocol.strip_prefix(BEARER)
                && carrier.is_none()
            {
                carrier = Some(protocol.to_owned());
                // What can't be decoded is no token; the verifier says so.
                self.token = Some(decoded(encoded).unwrap_or_else(|| "undecodable".to_owned()));
            }
        }
        self.subprotocol = self.subprotocol.take().or(carrier);
        if self.token.is_none() {
            let authorization = headers.get(header::AUTHORIZATION);
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
            self.token = token.map(|token| token.trim().to_owned());
        }
        self.token.is_some()
    }

    fn read_query(&mut self, query: &str) -> Result<(), ApiError> {
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            match name {
                "token" if self.token.is_none() => self.token = Some(value),
                "sessionId" => self.session_id = Some(value),
                "channels" => {
                    let channels = value.split(',').filter(|channel| !channel.is_empty());
                    self.channels = Some(channels.map(str::to_owned).collect());
                }
                "since" => self.since = Some(value.parse().map_err(drop)),
                "format" => match value.as_str() {
                    "flat" => self.format = Format::Flat,
                    "envelope" => {}
                    _ => {
                        let flaw = Flaw::new("format", "must be envelope or flat");
                        return Err(ApiError::flawed("query", &flaw));
                    }
                },
                "alias" if value == "1" && self.format == Format::Envelope => {
                    self.format = Format::Alias;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The subprotocols that a client would speak.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offers = offers.filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).map(str::trim)
}

/// The token among the subprotocols: the only place where a browser's page can put one.
pub(crate) fn offered_token(headers: &HeaderMap) -> Option<String> {
    decoded(offered(headers).find_map(|protocol| protocol.strip_prefix(BEARER))?)
}

fn decoded(encoded: &str) -> Option<String> {
    let token = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    String::from_utf8(token).ok()
}

/// `http://Host:80/` and `http://host` are the same origin.
pub(crate) fn normal_origin(origin: &str) -> String {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let default_port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(default_port).map_or(origin.clone(), str::to_owned)
}

/// The upgrade is not protected by the same-origin policy, so the origin is checked here. Programs
/// that are no browsers send none; they must show their token in a header.
fn check_origin(origins: &[String], headers: &HeaderMap, bearer: bool) -> Result<(), ApiError> {
    let mut sent = headers.get_all(header::ORIGIN).iter();
    let refused = |words| Err(ApiError::new(ErrorCode::Forbidden, words));
    let allowed = match (sent.next(), sent.next()) {
        (None, _) if bearer => true,
        (None, _) => {
            return refused(
                "Without an Origin the token has to stand in a header: send it as Authorization: \
                 Bearer.",
            );
        }
        (Some(origin), None) => {
            let origin = origin.to_str().map(normal_origin);
            origin.is_ok_and(|origin| origins.contains(&origin))
        }
        (Some(_), Some(_)) => false,
    };
    if allowed { Ok(()) } else { refused("This origin may not open the gateway.") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(headers: &[(&'static str, &str)], uri: &str) -> Result<Admission, ApiError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let origins = ["https://app.example".to_owned(), normal_origin("http://127.0.0.1:3000/")];
        Admission::read(&origins, &map, &uri.parse().unwrap())
    }

    #[test]
    fn only_exact_origins_are_let_in() {
        for origin in ["https://app.example", "https://APP.example:443", "http://127.0.0.1:3000"] {
            assert!(read(&[("origin", origin)], "/session").is_ok(), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://app.example",
            "https://app.example.evil",
            "https://evil/https://app.example",
            "https://app.example:8443",
        ] {
            assert!(read(&[("origin", origin)], "/session").is_err(), "{origin}");
        }
        let two = [("origin", "https://app.example"), ("origin", "https://evil")];
        assert!(read(&two, "/session").is_err());
    }

    #[test]
    fn without_an_origin_the_token_must_stand_in_a_header() {
        for uri in ["/session?token=t", "/session"] {
            let refused = read(&[], uri).map(drop).unwrap_err();
            assert!(format!("{refused:?}").contains("Authorization: Bearer"), "{refused:?}");
        }
        let page = read(&[("origin", "https://evil")], "/session?token=t").map(drop).unwrap_err();
        assert!(format!("{page:?}").contains("This origin"), "{page:?}");
        assert!(read(&[("authorization", "Bearer t")], "/session").is_ok());
        assert!(read(&[("sec-websocket-protocol", "bearer.dA")], "/session").is_ok());
    }

    #[test]
    fn the_subprotocol_is_one_that_was_offered_and_the_header_token_wins() {
        let origin = ("origin", "https://app.example");
        let offer = ("sec-websocket-protocol", "tangle.session.v1, bearer.aGVhZGVy");
        let admission = read(&[origin, offer], "/session?token=query").unwrap();
        assert_eq!(admission.subprotocol.as_deref(), Some(SUBPROTOCOL));
        assert_eq!(admission.token.as_deref(), Some("header"));
        let bearer_only = ("sec-websocket-protocol", "bearer.aGVhZGVy");
        let admission = read(&[origin, bearer_only], "/session").unwrap();
        assert_eq!(admission.subprotocol.as_deref(), Some("bearer.aGVhZGVy"));
        let admission = read(&[origin], "/session?token=a%2Eb&since=x&channels=a,b").unwrap();
        assert_eq!(admission.token.as_deref(), Some("a.b"));
        assert_eq!((admission.subprotocol, admission.since), (None, Some(Err(()))));
        assert_eq!(admission.channels.unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_format_that_there_is_not_is_refused_and_a_name_that_nobody_knows_is_left() {
        let bearer = ("authorization", "Bearer t");
        for query in ["format=nope", "format=", "format=Flat", "since=1&format=json"] {
            assert!(read(&[bearer], &format!("/session?{query}")).is_err(), "{query}");
        }
        for query in ["format=flat", "format=envelope", "format=envelope&alias=1", "nope=1"] {
            assert!(read(&[bearer], &format!("/session?{query}")).is_ok(), "{query}");
        }
    }
}

//! Tokens that open a part of one sandbox for a while: JWTs that this orchestrator signs with
//! Ed25519, and that nobody else has to read.

use std::fmt;

use aws_lc_rs::{
    hkdf::{HKDF_SHA256, Salt},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};

/// `{"alg":"EdDSA","typ":"JWT"}`. A token with any other header is none of ours.
const HEADER: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9";
/// The only `typ` of claims that opens a sandbox.
const TYPE: &str = "sidecar";
/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;
/// Longest time that a token is good for, in seconds.
pub(crate) const MAX_SECONDS: i64 = 15 * 60;

/// What a token may be good for. Those that no route asks for are known, so that a token which has
/// them is read, and never minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Capability {
    Read,
    Workspace,
    Terminal,
    Control,
    ComputerUse,
    Debug,
    RawInput,
}

/// What a token's `sid` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SessionType {
    Session,
    Project,
}

/// The claims as they stand in a token. serde refuses one that is given twice.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    pid: String,
    cid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    sst: Option<SessionType>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    cap: Option<Vec<Capability>>,
    typ: String,
    jti: String,
    iat: i64,
    exp: i64,
}

/// A claim that may be missing, but not `null`: absent capabilities are all of them, and that must
/// be meant.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    source: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(source).map(Some)
}

/// What is to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) sandbox: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) capabilities: &'a [Capability],
}

/// What a verified token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// `None`: everything.
    capabilities: Option<Vec<Capability>>,
    pub(super) session: Option<String>,
    /// Unix seconds.
    pub(super) issued_at: i64,
    /// Unix seconds.
    pub(super) expires_at: i64,
}

impl Access {
    pub(super) fn can(&self, capability: Capability) -> bool {
        self.capabilities.as_ref().is_none_or(|held| held.contains(&capability))
    }
}

/// Why no token could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sandbox's token could not be signed")]
pub(crate) struct SigningError;

/// The key that signs, and the product that is signed for.
pub(super) struct AccessKey {
    pair: Ed25519KeyPair,
    product: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("product", &self.product).finish_non_exhaustive()
    }
}

impl AccessKey {
    /// The key is derived from the signing secret, so that there is none to keep beside it.
    pub(super) fn new(signing_secret: &SecretString, product: &str) -> Result<Self, SigningError> {
        let salt = Salt::new(HKDF_SHA256, b"skein orchestrator");
        let secret = salt.extract(signing_secret.expose_secret().as_bytes());
        let use_of_it = [&b"sandbox access tokens, 1"[..]];
        let mut seed = [0_u8; 32];
        let expanded = secret.expand(&use_of_it, HKDF_SHA256);
        expanded.and_then(|expanded| expanded.fill(&mut seed)).map_err(|_| SigningError)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SigningError)?;
        Ok(Self { pair, product: product.to_owned() })
    }

    /// A token from now on (Unix seconds) for so many seconds, at most [`MAX_SECONDS`]; and its end.
    pub(super) fn mint(
        &self,
        wanted: Wanted<'_>,
        now: i64,
        seconds: i64,
    ) -> Result<(String, i64), SigningError> {
        let expires_at = now.saturating_add(seconds.clamp(1, MAX_SECONDS));
        let claims = Claims {
            sub: self.product.clone(),
            pid: self.product.clone(),
            cid: wanted.sandbox.to_owned(),
            sid: wanted.session.map(str::to_owned),
            sst: wanted.session.map(|_| SessionType::Session),
            cap: Some(wanted.capabilities.to_vec()),
            typ: TYPE.to_owned(),
            jti: format!("{}:{now}:{}", wanted.sandbox, uuid::Uuid::now_v7().simple()),
            iat: now,
            exp: expires_at,
        };
        let claims = serde_json::to_vec(&claims).map_err(|_| SigningError)?;
        let message = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.try_sign(message.as_bytes()).map_err(|_| SigningError)?;
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        Ok((token, expires_at))
    }

    /// What the token opens in this sandbox at a moment (Unix seconds); `None`: nothing.
    pub(super) fn verify(&self, token: &[u8], sandbox: &str, now: i64) -> Option<Access> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (message, signature) = std::str::from_utf8(token).ok()?.rsplit_once('.')?;
        let claims = message.strip_prefix(HEADER)?.strip_prefix('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&ED25519, self.pair.public_key());
        public.verify(message.as_bytes(), &signature).ok()?;
        // Nothing of the claims is looked at before this line.
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let named = !claims.sub.is_empty() && claims.sid.as_deref() != Some("");
        let ours = claims.typ == TYPE && claims.pid == self.product && claims.cid == sandbox;
        let in_time = claims.iat <= now.saturating_add(60) && now < claims.exp;
        let life = claims.exp.saturating_sub(claims.iat);
        // A project's `sid` is no session.
        let session = claims.sid.filter(|_| claims.sst != Some(SessionType::Project));
        (named && ours && in_time && (1..=MAX_SECONDS).contains(&life)).then_some(Access {
            capabilities: claims.cap,
            session,
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn key(secret: &str) -> AccessKey {
        AccessKey::new(&SecretString::from(secret), "skein").unwrap()
    }

    fn claims() -> Value {
        json!({
            "sub": "skein", "pid": "skein", "cid": "box", "sid": "s", "sst": "session",
            "cap": ["read"], "typ": "sidecar", "jti": "box:1:00", "iat": NOW, "exp": NOW + 60,
        })
    }

    fn signed(key: &AccessKey, header: &str, claims: &Value) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(header), encode(&claims.to_string()));
        let signature = key.pair.try_sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn opens(claims: &Value) -> Option<Access> {
        let key = key("secret");
        let token = signed(&key, r#"{"alg":"EdDSA","typ":"JWT"}"#, claims);
        key.verify(token.as_bytes(), "box", NOW)
    }

    #[test]
    fn a_minted_token_opens_what_it_says_until_its_end_and_nothing_else() {
        let key = key("secret");
        let capabilities = [Capability::Read, Capability::Terminal];
        let wanted = Wanted { sandbox: "box", session: Some("s"), capabilities: &capabilities };
        let (token, end) = key.mint(wanted, NOW, 3600).unwrap();
        assert_eq!(end, NOW + MAX_SECONDS, "no token lives longer");
        let access = key.verify(token.as_bytes(), "box", end - 1).unwrap();
        assert_eq!(access.session.as_deref(), Some("s"));
        assert!(access.can(Capability::Read) && access.can(Capability::Terminal));
        assert!(!access.can(Capability::Workspace) && !access.can(Capability::Control));
        assert_eq!(key.verify(token.as_bytes(), "box", end), None);
        assert_eq!(key.verify(token.as_bytes(), "bo", NOW), None);
        assert_eq!(self::key("other").verify(token.as_bytes(), "box", NOW), None);
    }

    #[test]
    fn absent_capabilities_are_all_and_an_empty_list_is_none() {
        assert!(opens(&claims()).unwrap().can(Capability::Read));
        let mut all = claims();
        all.as_object_mut().unwrap().remove("cap");
        assert!(opens(&all).unwrap().can(Capability::Control));
        let mut none = claims();
        none["cap"] = json!([]);
        assert!(!opens(&none).unwrap().can(Capability::Read));
    }

    #[test]
    fn claims_that_are_not_exactly_right_open_nothing() {
        for (name, value) in [
            ("cap", json!("read")),
            ("cap", json!(null)),
            ("cap", json!(["reading"])),
            ("sst", json!("user")),
            ("sst", json!(null)),
            ("typ", json!("read")),
            ("pid", json!("other")),
            ("cid", json!("")),
            ("sub", json!("")),
            ("sid", json!("")),
            ("exp", json!(NOW)),
            ("exp", json!(NOW + MAX_SECONDS + 1)),
            ("exp", json!("9999999999")),
            ("exp", json!(i64::MAX)),
            ("iat", json!(NOW + 61)),
            ("iat", json!(i64::MIN)),
        ] {
            let mut claims = claims();
            claims[name] = value.clone();
            assert_eq!(opens(&claims), None, "{name}: {value}");
        }
        for name in ["sub", "pid", "cid", "typ", "jti", "iat", "exp"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(opens(&claims), None, "without {name}");
        }
    }

    #[test]
    fn only_the_one_header_is_read_and_every_byte_is_signed() {
        let key = key("secret");
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"typ":"JWT","alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","typ":"JWT","crit":["x"]}"#,
        ] {
            let token = signed(&key, header, &claims());
            assert_eq!(key.verify(token.as_bytes(), "box", NOW), None, "{header}");
        }
        let token = signed(&key, r#"{"alg":"EdDSA","typ":"JWT"}"#, &claims());
        assert!(key.verify(token.as_bytes(), "box", NOW).is_some());
        let mut forged = claims();
        forged["cap"] = json!(["read", "terminal"]);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let other = format!("{HEADER}.{}.{signature}", URL_SAFE_NO_PAD.encode(forged.to_string()));
        let long = "x".repeat(MAX_TOKEN + 1);
        for token in ["", ".", "..", "a.b.c", message, &other, &long, &format!("{message}.")] {
            assert_eq!(key.verify(token.as_bytes(), "box", NOW), None);
        }
    }
}

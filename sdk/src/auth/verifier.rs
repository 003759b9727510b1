//! The orchestrator's side: refuses every token that an honest issuer would not have made.

use std::{collections::BTreeMap, fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{KeyError, READ_TYPE, TierTtl, TokenError, check_key, unix_ms};

/// Longest token that is looked at, in bytes. An issuer's are a fifth of it.
const MAX_TOKEN_BYTES: usize = 4096;
/// How far an issuer's clock may run ahead, in seconds. Without a bound, an `iat` far ahead would get
/// around the cap on a token's lifetime.
const MAX_CLOCK_AHEAD_S: i64 = 60;

/// A product whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct ProductKeys {
    /// The `pid` of its tokens.
    pub product_id: String,
    /// At least 32 bytes.
    pub secret: SecretString,
    /// Still accepted for a while after the secret was changed.
    pub previous: Option<PreviousSecret>,
    /// A suspended product's tokens are refused as such.
    pub suspended: bool,
}

/// The secret before the current one.
#[derive(Clone, Debug)]
pub struct PreviousSecret {
    /// At least 32 bytes.
    pub secret: SecretString,
    /// Milliseconds since the Unix epoch; from then on only the current secret counts.
    pub expires_at_ms: i64,
}

/// What a verifier accepts.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// Whose tokens are accepted.
    pub products: Vec<ProductKeys>,
    /// Whole seconds a token is accepted after its `exp`. Default none.
    pub leeway: Duration,
    /// Longest accepted `exp - iat`. Default 8 hours.
    pub max_ttl: Duration,
}

impl VerifierConfig {
    /// One product with one secret.
    pub fn new(product_id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        let product = ProductKeys {
            product_id: product_id.into(),
            secret: secret.into(),
            previous: None,
            suspended: false,
        };
        Self { products: vec![product], leeway: Duration::ZERO, max_ttl: TierTtl::default().max }
    }
}

/// What a token opens. A token has exactly one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One session.
    Session(String),
    /// A project's sessions.
    Project(String),
    /// Several projects' sessions.
    Projects(Vec<String>),
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadClaims {
    /// Never empty.
    pub user_id: String,
    pub product_id: String,
    /// What it opens.
    pub scope: Scope,
    pub sandbox_id: Option<String>,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds; a connection must not outlive it.
    pub expires_at: i64,
}

impl ReadClaims {
    /// The session, when the token is for one.
    pub fn session_id(&self) -> Option<&str> {
        match &self.scope {
            Scope::Session(session) => Some(session),
            _ => None,
        }
    }

    /// Whether another token opens the same for the same user: only then may it take this one's place
    /// on a connection.
    pub fn same_authority(&self, other: &Self) -> bool {
        self.user_id == other.user_id
            && self.product_id == other.product_id
            && self.scope == other.scope
    }
}

struct Product {
    key: DecodingKey,
    previous: Option<(DecodingKey, i64)>,
    suspended: bool,
}

/// Verifies read tokens of one or several products.
pub struct ReadTokenVerifier {
    products: BTreeMap<String, Product>,
    leeway_s: i64,
    max_ttl_s: i64,
}

impl fmt::Debug for ReadTokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadTokenVerifier")
            .field("products", &self.products.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The claims as they stand in a token. No `flatten`, so that serde refuses a claim given twice; which
/// of the two counts is what readers of the same token disagree on.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    pid: Option<String>,
    typ: Option<String>,
    iat: Option<i64>,
    exp: Option<i64>,
    nbf: Option<i64>,
    sid: Option<String>,
    #[serde(rename = "projectId")]
    project_id: Option<String>,
    #[serde(rename = "projectIds")]
    project_ids: Option<Vec<String>>,
    cid: Option<String>,
}

impl ReadTokenVerifier {
    /// # Errors
    /// When a secret is shorter than 32 bytes, or a product id empty or too long.
    pub fn new(config: VerifierConfig) -> Result<Self, KeyError> {
        let mut products = BTreeMap::new();
        for keys in config.products {
            check_key(&keys.product_id, &keys.secret)?;
            let previous = match &keys.previous {
                Some(previous) => {
                    check_key(&keys.product_id, &previous.secret)?;
                    Some((decoding_key(&previous.secret), previous.expires_at_ms))
                }
                None => None,
            };
            let product =
                Product { key: decoding_key(&keys.secret), previous, suspended: keys.suspended };
            products.insert(keys.product_id, product);
        }
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Ok(Self { products, leeway_s: seconds(config.leeway), max_ttl_s: seconds(config.max_ttl) })
    }

    /// Verifies a token now.
    ///
    /// # Errors
    /// The first reason against the token.
    pub fn verify(&self, token: &str) -> Result<ReadClaims, TokenError> {
        self.verify_at(token, unix_ms())
    }

    /// Verifies a token at a given moment (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// The first reason against the token.
    pub fn verify_at(&self, token: &str, now_ms: i64) -> Result<ReadClaims, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid("too long"));
        }
        let (message, signature) =
            token.rsplit_once('.').ok_or(TokenError::Invalid("not three parts"))?;
        let claims = read_claims(token, message)?;
        let product_id = claims.pid.as_deref().ok_or(TokenError::Invalid("no pid"))?;
        let product = self.products.get(product_id).ok_or(TokenError::ProductNotFound)?;
        if product.suspended {
            return Err(TokenError::ProductSuspended);
        }
        if !product.signed(message, signature, now_ms) {
            return Err(TokenError::SignatureInvalid);
        }
        // Nothing of the claims but `pid` is looked at before this line.
        self.check(claims, now_ms.div_euclid(1000))
    }

    fn check(&self, claims: Claims, now: i64) -> Result<ReadClaims, TokenError> {
        if claims.typ.as_deref() != Some(READ_TYPE) {
            return Err(TokenError::WrongType);
        }
        let exp = claims.exp.ok_or(TokenError::Invalid("no exp"))?;
        let iat = claims.iat.ok_or(TokenError::Invalid("no iat"))?;
        if exp.saturating_add(self.leeway_s) < now {
            return Err(TokenError::Expired);
        }
        if iat > now.saturating_add(self.leeway_s).saturating_add(MAX_CLOCK_AHEAD_S) {
            return Err(TokenError::Invalid("issued in the future"));
        }
        if claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(self.leeway_s)) {
            return Err(TokenError::Invalid("not valid yet"));
        }
        if !(0..=self.max_ttl_s).contains(&exp.saturating_sub(iat)) {
            return Err(TokenError::Invalid("exp does not fit iat"));
        }
        let scope = match (claims.sid, claims.project_id, claims.project_ids) {
            (Some(session), None, None) if !session.is_empty() => Scope::Session(session),
            (None, Some(project), None) if !project.is_empty() => Scope::Project(project),
            (None, None, Some(projects)) if !projects.is_empty() => Scope::Projects(projects),
            _ => return Err(TokenError::Invalid("needs exactly one scope")),
        };
        Ok(ReadClaims {
            user_id: claims
                .sub
                .filter(|user| !user.is_empty())
                .ok_or(TokenError::Invalid("no sub"))?,
            product_id: claims.pid.unwrap_or_default(),
            scope,
            sandbox_id: claims.cid,
            issued_at: iat,
            expires_at: exp,
        })
    }
}

impl Product {
    fn signed(&self, message: &str, signature: &str, now_ms: i64) -> bool {
        let by = |key| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, Algorithm::HS256)
                .unwrap_or(false)
        };
        by(&self.key)
            || self.previous.as_ref().is_some_and(|(key, until)| now_ms < *until && by(key))
    }
}

fn decoding_key(secret: &SecretString) -> DecodingKey {
    DecodingKey::from_secret(secret.expose_secret().as_bytes())
}

fn read_claims(token: &str, message: &str) -> Result<Claims, TokenError> {
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| TokenError::Invalid("the header cannot be read"))?;
    // The header is the sender's word: the algorithm is ours to choose.
    if header.alg != Algorithm::HS256 {
        return Err(TokenError::Invalid("not signed with HS256"));
    }
    if header.crit.is_some() {
        return Err(TokenError::Invalid("the header asks for an extension"));
    }
    let (_, payload) = message.split_once('.').ok_or(TokenError::Invalid("not three parts"))?;
    let payload = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| TokenError::Invalid("the claims are not base64url"))?;
    serde_json::from_slice(&payload).map_err(|_| TokenError::Invalid("the claims cannot be read"))
}

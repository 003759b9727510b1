//! The product's side: makes read tokens.

use std::{fmt, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{KeyError, READ_TYPE, Scope, check_key, unix_ms};

/// What an account pays for. It decides how long a token lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Nothing.
    #[default]
    Free,
    /// A subscription.
    Pro,
    /// A contract.
    Enterprise,
}

impl From<&str> for Tier {
    /// `paid` is an older word for `pro`; a tier nobody knows gets what is free.
    fn from(tier: &str) -> Self {
        match tier {
            "pro" | "paid" => Self::Pro,
            "enterprise" => Self::Enterprise,
            _ => Self::Free,
        }
    }
}

/// How long a token lasts, by tier. `max` caps all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierTtl {
    pub free: Duration,
    pub pro: Duration,
    pub enterprise: Duration,
    /// Longest lifetime of any token.
    pub max: Duration,
}

impl Default for TierTtl {
    /// 30 minutes, 4 hours, 8 hours; never more than 8 hours.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Self { free: minutes(30), pro: minutes(240), enterprise: minutes(480), max: minutes(480) }
    }
}

impl TierTtl {
    /// Lifetime of a token of this tier, at least a second.
    pub fn of(&self, tier: Tier) -> Duration {
        let ttl = match tier {
            Tier::Free => self.free,
            Tier::Pro => self.pro,
            Tier::Enterprise => self.enterprise,
        };
        ttl.min(self.max).max(Duration::from_secs(1))
    }
}

/// Who signs, and with what.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// The `pid` of the tokens.
    pub product_id: String,
    /// Shared with the orchestrator, at least 32 bytes.
    pub signing_secret: SecretString,
    /// How long tokens last.
    pub ttl: TierTtl,
}

impl IssuerConfig {
    /// The default lifetimes.
    pub fn new(product_id: impl Into<String>, signing_secret: impl Into<SecretString>) -> Self {
        Self {
            product_id: product_id.into(),
            signing_secret: signing_secret.into(),
            ttl: TierTtl::default(),
        }
    }
}

/// For whom, and for which session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssueRequest {
    /// Whose token it is; `sub`.
    pub user_id: String,
    /// The session it opens; `sid`.
    pub session_id: String,
    /// Decides how long it lasts.
    pub tier: Tier,
    /// Sandbox the session runs in. Left out of the token when absent.
    pub sandbox_id: Option<String>,
}

/// A fresh token. `Debug` shows when it ends, not what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// A secret for as long as it lasts.
    pub token: String,
    /// Unix seconds.
    pub expires_at: i64,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(rename = "projectId", skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    #[serde(rename = "projectIds", skip_serializing_if = "Option::is_none")]
    project_ids: Option<&'a [String]>,
    pid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<&'a str>,
    typ: &'static str,
    iat: i64,
    exp: i64,
}

/// Makes read tokens: HS256, one user, one scope.
#[derive(Clone)]
pub struct ProductTokenIssuer {
    product_id: String,
    key: EncodingKey,
    ttl: TierTtl,
}

impl fmt::Debug for ProductTokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProductTokenIssuer")
            .field("product_id", &self.product_id)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl ProductTokenIssuer {
    /// # Errors
    /// When the secret is shorter than 32 bytes, or the product id empty or too long.
    pub fn new(config: IssuerConfig) -> Result<Self, KeyError> {
        check_key(&config.product_id, &config.signing_secret)?;
        let key = EncodingKey::from_secret(config.signing_secret.expose_secret().as_bytes());
        Ok(Self { product_id: config.product_id, key, ttl: config.ttl })
    }

    /// How long a token of this tier lasts.
    pub fn ttl(&self, tier: Tier) -> Duration {
        self.ttl.of(tier)
    }

    /// Makes a token that is good from now on.
    ///
    /// # Errors
    /// When the user or the session is empty.
    pub fn issue(&self, request: &IssueRequest) -> Result<IssuedToken, KeyError> {
        self.issue_at(request, unix_ms() / 1000)
    }

    /// Makes a token that is good from the given moment on (Unix seconds).
    ///
    /// # Errors
    /// When the user or the session is empty.
    pub fn issue_at(&self, request: &IssueRequest, now: i64) -> Result<IssuedToken, KeyError> {
        let scope = Scope::Session(request.session_id.clone());
        let ttl = self.ttl(request.tier);
        self.sign(&request.user_id, &scope, request.sandbox_id.as_deref(), ttl, now)
    }

    /// Makes a token for a scope of any kind that is good from the given moment on (Unix seconds),
    /// for as long as it says but no longer than any token lasts.
    ///
    /// # Errors
    /// When the user, or a name in the scope, is empty.
    pub fn issue_scope_at(
        &self,
        user_id: &str,
        scope: &Scope,
        ttl: Duration,
        now: i64,
    ) -> Result<IssuedToken, KeyError> {
        self.sign(user_id, scope, None, ttl.min(self.ttl.max), now)
    }

    fn sign(
        &self,
        user_id: &str,
        scope: &Scope,
        sandbox_id: Option<&str>,
        ttl: Duration,
        now: i64,
    ) -> Result<IssuedToken, KeyError> {
        if user_id.is_empty() {
            return Err(KeyError::EmptyClaim("user id"));
        }
        let (sid, project_id, project_ids) = match scope {
            Scope::Session(session) if session.is_empty() => {
                return Err(KeyError::EmptyClaim("session id"));
            }
            Scope::Session(session) => (Some(session.as_str()), None, None),
            Scope::Project(project) if project.is_empty() => {
                return Err(KeyError::EmptyClaim("project id"));
            }
            Scope::Project(project) => (None, Some(project.as_str()), None),
            Scope::Projects(projects)
                if projects.is_empty() || projects.iter().any(String::is_empty) =>
            {
                return Err(KeyError::EmptyClaim("project ids"));
            }
            Scope::Projects(projects) => (None, None, Some(projects.as_slice())),
        };
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let expires_at = now.saturating_add(ttl);
        let claims = Claims {
            sub: user_id,
            sid,
            project_id,
            project_ids,
            pid: &self.product_id,
            cid: sandbox_id,
            typ: READ_TYPE,
            iat: now,
            exp: expires_at,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)
            .map_err(|_| KeyError::Signing)?;
        Ok(IssuedToken { token, expires_at })
    }
}

//! Product read tokens and webhook signatures.
//!
//! A product signs short-lived tokens that let one viewer read one session; the orchestrator verifies
//! them. Both sides share a secret that never leaves the servers, so this module is native only.
//!
//! ```
//! use sandbox_sdk::auth::{
//!     IssueRequest, IssuerConfig, ProductTokenIssuer, ReadTokenVerifier, Tier, VerifierConfig,
//! };
//!
//! let secret = "at least thirty-two bytes of secret";
//! let issuer = ProductTokenIssuer::new(IssuerConfig::new("skein", secret))?;
//! let issued = issuer.issue(&IssueRequest {
//!     user_id: "user-1".into(),
//!     session_id: "session-1".into(),
//!     tier: Tier::Free,
//!     sandbox_id: None,
//! })?;
//!
//! let verifier = ReadTokenVerifier::new(VerifierConfig::new("skein", secret))?;
//! let claims = verifier.verify(&issued.token)?;
//! assert_eq!(claims.session_id(), Some("session-1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod issuer;
mod verifier;
pub mod webhook;

pub use error::{KeyError, TokenError};
pub use issuer::{IssueRequest, IssuedToken, IssuerConfig, ProductTokenIssuer, Tier, TierTtl};
pub use verifier::{
    PreviousSecret, ProductKeys, ReadClaims, ReadTokenVerifier, Scope, VerifierConfig,
};

use secrecy::{ExposeSecret, SecretString};

/// Fewest bytes a signing secret may have: HMAC-SHA256 is no stronger than its key.
pub const MIN_SECRET_BYTES: usize = 32;
/// Most characters a product id may have.
pub const MAX_PRODUCT_ID_CHARS: usize = 64;

/// The only `typ` of claims that opens the gateway.
const READ_TYPE: &str = "read";

fn check_key(product_id: &str, secret: &SecretString) -> Result<(), KeyError> {
    if product_id.is_empty() || product_id.chars().count() > MAX_PRODUCT_ID_CHARS {
        return Err(KeyError::ProductId);
    }
    if secret.expose_secret().len() < MIN_SECRET_BYTES {
        return Err(KeyError::SecretTooShort);
    }
    Ok(())
}

/// Milliseconds since the Unix epoch.
fn unix_ms() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

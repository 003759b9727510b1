//! Signatures of webhooks: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.
//!
//! The time stands under the signature, so that a recorded call cannot be sent again later. During a
//! change of secret a sender may put several `v1` into the header; one that matches is enough.

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Name of the HTTP header that carries the signature.
pub const HEADER: &str = "x-tangle-signature";
/// How far the signature's time may lie from the receiver's, in seconds, either way.
pub const TOLERANCE_S: i64 = 300;

/// Signatures looked at in one header; more is nobody's change of secret.
const MAX_SIGNATURES: usize = 8;
const MAX_HEADER_BYTES: usize = 1024;

/// Why a webhook was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not `t=…,v1=…`.
    #[error("the signature header cannot be read")]
    Malformed,
    /// Signed too long ago, or in the future.
    #[error("the signature's time is too far from now")]
    Stale,
    /// No signature is of this body, time and secret.
    #[error("the signature does not match")]
    Mismatch,
}

/// Makes the header's value for a body.
pub fn sign(secret: &SecretString, timestamp_s: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&key(secret));
    context.update(format!("{timestamp_s}.").as_bytes());
    context.update(body);
    format!("t={timestamp_s},v1={}", hex::encode(context.sign()))
}

/// Checks a header's value against the raw body, byte for byte as it came.
///
/// # Errors
/// When the header cannot be read, its time is more than [`TOLERANCE_S`] away from `now_s` (Unix
/// seconds), or no signature matches.
pub fn verify(
    secret: &SecretString,
    header: &str,
    body: &[u8],
    now_s: i64,
) -> Result<(), SignatureError> {
    let (timestamp, signatures) = parse(header).ok_or(SignatureError::Malformed)?;
    if now_s.abs_diff(timestamp) > TOLERANCE_S.unsigned_abs() {
        return Err(SignatureError::Stale);
    }
    let mut message = format!("{timestamp}.").into_bytes();
    message.extend_from_slice(body);
    let key = key(secret);
    // `hmac::verify` compares in constant time; every signature is looked at.
    let matching =
        signatures.iter().filter(|tag| hmac::verify(&key, &message, tag).is_ok()).count();
    if matching == 0 { Err(SignatureError::Mismatch) } else { Ok(()) }
}

fn key(secret: &SecretString) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes())
}

/// The time and the decoded `v1` values. Other schemes are skipped: a later version may add one.
fn parse(header: &str) -> Option<(i64, Vec<Vec<u8>>)> {
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let mut timestamp = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        match item.trim().split_once('=')? {
            ("t", _) if timestamp.is_some() => return None,
            // Only plain digits, so that what is signed is what was written.
            ("t", value) if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                timestamp = Some(value.parse().ok()?);
            }
            ("t", _) => return None,
            ("v1", _) if signatures.len() == MAX_SIGNATURES => return None,
            ("v1", value) => signatures.push(hex::decode(value).ok()?),
            _ => {}
        }
    }
    if signatures.is_empty() {
        return None;
    }
    Some((timestamp?, signatures))
}

//! One crypto library signs and verifies everything. Finds out at the start whether that is so, not
//! at the first token.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::StartError;

/// Installs the provider and signs and verifies one token with it.
pub(super) fn self_test() -> Result<(), StartError> {
    // An error says that it is installed already, which is as good.
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
    let key = [7_u8; 32];
    let failed = |error: jsonwebtoken::errors::Error| StartError::Crypto(error.to_string());
    let claims = json!({ "sub": "self-test", "exp": u32::MAX });
    let header = Header::new(Algorithm::HS256);
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&key));
    let token = token.map_err(failed)?;
    let validation = Validation::new(Algorithm::HS256);
    let right = DecodingKey::from_secret(&key);
    jsonwebtoken::decode::<Value>(&token, &right, &validation).map_err(failed)?;
    let wrong = DecodingKey::from_secret(&[8_u8; 32]);
    if jsonwebtoken::decode::<Value>(&token, &wrong, &validation).is_ok() {
        return Err(StartError::Crypto("a forged token was accepted".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_provider_signs_and_verifies() {
        super::self_test().unwrap();
        // Starting twice in one process, as tests do, is fine.
        super::self_test().unwrap();
    }
}

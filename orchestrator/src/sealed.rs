//! Seals what others must not read in the database: what sandboxes were made with, and secrets.
//!
//! AES-256-GCM under a key that is derived from the signing secret. What was sealed for one purpose
//! opens for no other. Under another signing secret nothing opens any more, unless the one before is
//! given, too: then what either sealed opens, and the current one seals.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};

/// Begins everything that is sealed like this.
const PREFIX: &str = "sealed:1:";

/// Seals and opens.
pub(crate) struct Sealer {
    current: RandomizedNonceKey,
    previous: Option<RandomizedNonceKey>,
}

/// Why something stays closed. It says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    #[error("it was sealed with another signing secret, or it was tampered with")]
    Closed,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    pub(crate) fn new(signing_secret: &SecretString) -> Result<Self, SealError> {
        Ok(Self { current: key(signing_secret)?, previous: None })
    }

    /// Opens what was sealed with this secret as well.
    pub(crate) fn after(self, previous: Option<&SecretString>) -> Result<Self, SealError> {
        Ok(Self { previous: previous.map(key).transpose()?, ..self })
    }

    /// The text, sealed. It opens only for the same purpose, which names the place it stands in.
    pub(crate) fn seal(&self, purpose: &str, text: &str) -> Result<String, SealError> {
        let mut sealed = text.as_bytes().to_vec();
        let nonce = self.current.seal_in_place_append_tag(Aad::from(purpose), &mut sealed);
        let nonce = nonce.map_err(|_| SealError::NoRandomness)?;
        let whole = [&nonce.as_ref()[..], &sealed[..]].concat();
        Ok(format!("{PREFIX}{}", BASE64_STANDARD.encode(whole)))
    }

    pub(crate) fn open(&self, purpose: &str, sealed: &str) -> Result<String, SealError> {
        let mut keys = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
        keys.find_map(|key| open(key, purpose, sealed)).ok_or(SealError::Closed)
    }
}

fn key(signing_secret: &SecretString) -> Result<RandomizedNonceKey, SealError> {
    let failed = |_| SealError::NoRandomness;
    let salt = Salt::new(HKDF_SHA256, b"skein orchestrator");
    let secret = salt.extract(signing_secret.expose_secret().as_bytes());
    let mut key = [0_u8; 32];
    let use_of_it = [&b"sealed at rest, 1"[..]];
    let expanded = secret.expand(&use_of_it, &AES_256_GCM);
    expanded.and_then(|expanded| expanded.fill(&mut key)).map_err(failed)?;
    RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(failed)
}

fn open(key: &RandomizedNonceKey, purpose: &str, sealed: &str) -> Option<String> {
    let mut whole = BASE64_STANDARD.decode(sealed.strip_prefix(PREFIX)?).ok()?;
    let (nonce, text) = whole.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let text = key.open_in_place(nonce, Aad::from(purpose), text).ok()?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sealer_of(secret: &str) -> Sealer {
        Sealer::new(&SecretString::from(secret)).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_secret_and_for_the_same_purpose_only() {
        let sealer = sealer_of("one");
        let sealed = sealer.seal("a", "grüß").unwrap();
        assert!(!sealed.contains("gr"), "{sealed}");
        assert_eq!(sealer.open("a", &sealed).as_deref(), Ok("grüß"));
        assert_eq!(sealer.open("b", &sealed), Err(SealError::Closed));
        assert_eq!(sealer_of("two").open("a", &sealed), Err(SealError::Closed));
        assert_eq!(sealer_of("one").open("a", &sealed).as_deref(), Ok("grüß"));
    }

    #[test]
    fn after_a_change_of_the_secret_either_opens_and_the_current_one_seals() {
        let old = sealer_of("old").seal("a", "x").unwrap();
        let sealer = sealer_of("new").after(Some(&SecretString::from("old"))).unwrap();
        assert_eq!(sealer.open("a", &old).as_deref(), Ok("x"));
        assert_eq!(sealer.open("b", &old), Err(SealError::Closed));
        let new = sealer.seal("a", "y").unwrap();
        assert_eq!(sealer.open("a", &new).as_deref(), Ok("y"));
        assert_eq!(sealer_of("old").open("a", &new), Err(SealError::Closed));
        assert_eq!(sealer_of("new").open("a", &old), Err(SealError::Closed));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let sealer = sealer_of("one");
        assert_ne!(sealer.seal("a", "x").unwrap(), sealer.seal("a", "x").unwrap());
    }

    #[test]
    fn what_is_none_or_was_changed_stays_closed() {
        let sealer = sealer_of("one");
        let sealed = sealer.seal("a", "x").unwrap();
        let mut changed = sealed.clone().into_bytes();
        let place = PREFIX.len() + NONCE_LEN;
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        for text in ["", "{}", PREFIX, "sealed:1:AAAA", "sealed:1:?", &changed, &sealed[1..]] {
            assert_eq!(sealer.open("a", text), Err(SealError::Closed), "{text}");
        }
    }
}

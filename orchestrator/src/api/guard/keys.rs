//! The keys that open what is here, and those that tokens are signed with.

use aws_lc_rs::hmac;
use sandbox_sdk::auth::{IssuedToken, IssuerConfig, KeyError, ProductTokenIssuer, Scope};
use secrecy::{ExposeSecret, SecretString};

use super::{
    access::{Access, AccessKey, MAX_SECONDS, SigningError, Wanted},
    same,
};
use crate::secrets::Secrets;

/// Begins a token that opens one sandbox as a whole.
pub(super) const OF_SANDBOX: &[u8] = b"sbx_";
/// How long a sandbox's token stays the same, in milliseconds: half a day.
const TOKEN_LIFE: i64 = 12 * 3600 * 1000;

/// The product's key, and the keys of single sandboxes that are made from it.
pub(crate) struct Keys {
    api_key: SecretString,
    sandboxes: hmac::Key,
    access: AccessKey,
    /// Of the signing secret before, and until when it counts, in milliseconds since the Unix epoch.
    previous: Option<(AccessKey, i64)>,
    reads: ProductTokenIssuer,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(secrets: &Secrets, product: &str) -> Result<Self, KeyError> {
        let api_key = secrets.api_key.clone();
        let sandboxes = hmac::Key::new(hmac::HMAC_SHA256, api_key.expose_secret().as_bytes());
        let signing_secret = &secrets.signing_secret;
        let key = |secret| AccessKey::new(secret, product).map_err(|_| KeyError::Signing);
        let access = key(signing_secret)?;
        let previous = match &secrets.previous {
            Some(previous) => Some((key(&previous.secret)?, previous.expires_at_ms)),
            None => None,
        };
        let reads = IssuerConfig::new(product, signing_secret.clone());
        Ok(Self { api_key, sandboxes, access, previous, reads: ProductTokenIssuer::new(reads)? })
    }

    /// Whether this is the product's key.
    pub(super) fn are_products(&self, brought: &[u8]) -> bool {
        same(brought, self.api_key.expose_secret())
    }

    /// Token that opens the sandbox which was made then, and until when. Derived, so that none has to
    /// be stored. It stays the same for a while, and is good for longer than that from whenever it is
    /// asked for.
    pub(crate) fn of_sandbox(&self, id: &str, made_at: i64, now: i64) -> (String, i64) {
        let expires_at = (now.div_euclid(TOKEN_LIFE) + 2) * TOKEN_LIFE;
        (self.token(id, made_at, expires_at), expires_at)
    }

    fn token(&self, id: &str, made_at: i64, expires_at: i64) -> String {
        let mut context = hmac::Context::with_key(&self.sandboxes);
        context.update(b"sidecar token v3\0");
        context.update(&expires_at.to_be_bytes());
        context.update(&made_at.to_be_bytes());
        context.update(id.as_bytes());
        format!("sbx_{expires_at}_{made_at}_{}", hex::encode(context.sign()))
    }

    /// When the sandbox of that id was made that the token opens, in milliseconds since the Unix
    /// epoch; `None`: it opens none of that id, or none any more.
    pub(super) fn open(&self, id: &str, brought: &[u8], now: i64) -> Option<i64> {
        let claims = std::str::from_utf8(brought).ok()?.strip_prefix("sbx_")?;
        let (expires_at, rest) = claims.split_once('_')?;
        let expires_at: i64 = expires_at.parse().ok()?;
        let made_at: i64 = rest.split_once('_')?.0.parse().ok()?;
        let good = expires_at > now && same(brought, &self.token(id, made_at, expires_at));
        good.then_some(made_at)
    }

    /// What a scoped token opens of the sandbox.
    pub(super) fn access(&self, token: &[u8], sandbox: &str, now: i64) -> Option<Access> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        let mut keys = [Some(&self.access), previous.map(|(key, _)| key)].into_iter().flatten();
        keys.find_map(|key| key.verify(token, sandbox, now.div_euclid(1000)))
    }

    /// A token for a part of a sandbox, good for so many seconds but at most [`MAX_SECONDS`], and
    /// its end in Unix seconds.
    pub(crate) fn mint_access(
        &self,
        wanted: Wanted<'_>,
        now: i64,
        seconds: i64,
    ) -> Result<(String, i64), SigningError> {
        self.access.mint(wanted, now.div_euclid(1000), seconds)
    }

    /// A token for the session gateway, as good for as long.
    pub(crate) fn mint_read(
        &self,
        user: &str,
        scope: &Scope,
        now: i64,
        seconds: i64,
    ) -> Result<IssuedToken, KeyError> {
        let seconds = seconds.clamp(1, MAX_SECONDS).unsigned_abs();
        let life = std::time::Duration::from_secs(seconds);
        self.reads.issue_scope_at(user, scope, life, now.div_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use sandbox_sdk::auth::PreviousSecret;

    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    fn keys(api_key: &str) -> Keys {
        signing_with(api_key, 'a', None)
    }

    fn signing_with(api_key: &str, secret: char, previous: Option<(char, i64)>) -> Keys {
        let secret_of = |letter: char| letter.to_string().repeat(32).into();
        let previous = previous.map(|(letter, expires_at_ms)| PreviousSecret {
            secret: secret_of(letter),
            expires_at_ms,
        });
        let signing_secret = secret_of(secret);
        let secrets = Secrets { api_key: api_key.into(), signing_secret, previous };
        Keys::new(&secrets, "skein").unwrap()
    }

    #[test]
    fn a_scoped_token_of_the_secret_before_is_good_until_the_end_of_that() {
        let wanted = Wanted { sandbox: "box", session: None, capabilities: &[] };
        let (token, _) = signing_with("k", 'a', None).mint_access(wanted, NOW, 600).unwrap();
        let after = signing_with("k", 'b', Some(('a', NOW + 5000)));
        assert!(after.access(token.as_bytes(), "box", NOW + 4999).is_some());
        assert!(after.access(token.as_bytes(), "box", NOW + 5000).is_none());
        let (token, _) = after.mint_access(wanted, NOW, 600).unwrap();
        let long_after = signing_with("k", 'b', None);
        assert!(long_after.access(token.as_bytes(), "box", NOW + 5000).is_some());
    }

    #[test]
    fn a_sandboxs_token_opens_it_until_its_end_and_no_other() {
        let keys = keys("a key");
        let now = NOW;
        let made = now - 5;
        let (token, end) = keys.of_sandbox("a", made, now);
        assert!((now + TOKEN_LIFE..=now + 2 * TOKEN_LIFE).contains(&end));
        let opens = |id: &str, token: &str, now: i64| {
            keys.open(id, token.as_bytes(), now).is_some_and(|at| at == made)
        };
        assert!(opens("a", &token, now) && opens("a", &token, end - 1));
        assert!(!opens("a", &token, end));
        assert!(!opens("b", &token, now));
        let later = token.replace(&end.to_string(), &(end + 1).to_string());
        assert!(!opens("a", &later, now), "its end can't be moved");
        let other = token.replace(&made.to_string(), &(made + 1).to_string());
        assert_eq!(keys.open("a", other.as_bytes(), now), None, "nor when its sandbox was made");
        assert_eq!(keys.of_sandbox("a", made, end - TOKEN_LIFE - 1).0, token);
        for none in ["", "sbx_", "sbx_1", "sbx__", "sbx___", "sbx_x_y", "sbx_1_2", "a key"] {
            assert!(!opens("a", none, now), "{none}");
        }
        assert!(!opens("a", &self::keys("other").of_sandbox("a", made, now).0, now));
    }
}

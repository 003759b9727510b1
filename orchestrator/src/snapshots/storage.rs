//! Which buckets are used: the operator's by configuration, a caller's own by request.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, Url, redirect};
use sandbox_sdk::types::SnapshotStorage;
use secrecy::SecretString;

use super::{
    SnapshotError, SnapshotsConfig,
    bucket::{Bucket, Owner},
    request::{invalid, is_plain},
};
use crate::models::address::{self, GuardedResolver, Reach};

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Without a byte.
const SILENCE: Duration = Duration::from_secs(60);
const MAX_NAME: usize = 255;
const MAX_CREDENTIAL: usize = 1024;
/// With what names begin in a caller's bucket if nothing is said of it.
const PREFIX: &str = "sandbox-snapshots";

/// A bucket, and what the names of objects in it begin with.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub(super) bucket: Bucket,
    prefix: String,
}

/// Makes buckets reachable.
#[derive(Debug)]
pub(super) struct Doors {
    /// For addresses of the configuration.
    out: Client,
    /// For those of them that are on this machine, where no proxy leads to.
    here: Client,
    /// For those that a caller named.
    guarded: Client,
    /// Services that callers may name although they are not public.
    endpoints: Vec<Url>,
}

impl Storage {
    /// The name of an object. Neither part begins or ends with a slash.
    pub(super) fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }
}

impl Doors {
    /// Words that name the variable, when something of the configuration can't be used.
    pub(super) fn new(config: &SnapshotsConfig) -> Result<Self, String> {
        let failed = |error: reqwest::Error| error.to_string();
        let guard = Arc::new(GuardedResolver(Reach::Public));
        let endpoints = config.endpoints.iter().map(String::as_str).map(str::trim);
        let endpoints = endpoints.filter(|endpoint| !endpoint.is_empty()).map(address::plain);
        let endpoints: Result<Vec<_>, _> = endpoints.collect();
        Ok(Self {
            out: plain().build().map_err(failed)?,
            here: plain().no_proxy().build().map_err(failed)?,
            guarded: plain().no_proxy().dns_resolver(guard).build().map_err(failed)?,
            endpoints: endpoints.map_err(|why| format!("SKEIN_SNAPSHOT_ENDPOINTS: {why}"))?,
        })
    }

    /// The bucket of the configuration, if there is one.
    pub(super) fn own(&self, config: &SnapshotsConfig) -> Result<Option<Storage>, String> {
        let Some(name) = &config.s3_bucket else { return Ok(None) };
        check_name("SKEIN_SNAPSHOTS_S3_BUCKET", name)?;
        check_name("SKEIN_SNAPSHOTS_S3_REGION", &config.s3_region)?;
        let (Some(id), Some(secret)) = (&config.s3_access_key_id, &config.s3_secret_access_key)
        else {
            let words = "SKEIN_SNAPSHOTS_S3_BUCKET needs SKEIN_SNAPSHOTS_S3_ACCESS_KEY_ID and \
                         SKEIN_SNAPSHOTS_S3_SECRET_ACCESS_KEY";
            return Err(words.to_owned());
        };
        check_key_id("SKEIN_SNAPSHOTS_S3_ACCESS_KEY_ID", id)?;
        let usual = amazon(&config.s3_region);
        let endpoint = config.s3_endpoint.as_deref().unwrap_or(&usual);
        let endpoint =
            endpoint_of(endpoint).map_err(|why| format!("SKEIN_SNAPSHOTS_S3_ENDPOINT: {why}"))?;
        let prefix = prefix_of(&config.s3_prefix)
            .map_err(|why| format!("SKEIN_SNAPSHOTS_S3_PREFIX: {why}"))?;
        let key = (id.clone(), secret.clone());
        let region = config.s3_region.clone();
        let http = self.trusted(&endpoint);
        let bucket = Bucket::new(Owner::Operator, http, &endpoint, name, key, region);
        Ok(Some(Storage { bucket, prefix }))
    }

    /// A caller's bucket. Its service must be public, unless the operator says otherwise.
    pub(super) fn foreign(&self, storage: &SnapshotStorage) -> Result<Storage, SnapshotError> {
        self.open(storage).or_else(|why| invalid(format!("storage: {why}")))
    }

    fn open(&self, storage: &SnapshotStorage) -> Result<Storage, String> {
        let region = storage.region.clone();
        let region = match storage.kind.as_str() {
            "s3" => region.unwrap_or_else(|| "us-east-1".to_owned()),
            "gcs" | "r2" => region.unwrap_or_else(|| "auto".to_owned()),
            _ => return Err("type must be s3, gcs or r2".to_owned()),
        };
        check_name("bucket", &storage.bucket)?;
        check_name("region", &region)?;
        let usual = match storage.kind.as_str() {
            "s3" => Some(amazon(&region)),
            "gcs" => Some("https://storage.googleapis.com".to_owned()),
            _ => None,
        };
        let endpoint = storage.endpoint.clone().or(usual);
        let endpoint = endpoint.ok_or_else(|| "r2 needs an endpoint".to_owned())?;
        let (http, endpoint) = self.door(&endpoint).map_err(|why| format!("endpoint: {why}"))?;
        let prefix = prefix_of(storage.prefix.as_deref().unwrap_or(PREFIX))?;
        let credentials = &storage.credentials;
        check_key_id("accessKeyId", &credentials.access_key_id)?;
        if !(1..=MAX_CREDENTIAL).contains(&credentials.secret_access_key.len()) {
            return Err("secretAccessKey is missing or too long".to_owned());
        }
        let secret = SecretString::from(credentials.secret_access_key.clone());
        let key = (credentials.access_key_id.clone(), secret);
        let name = &storage.bucket;
        let bucket = Bucket::new(Owner::Caller, http, &endpoint, name, key, region);
        Ok(Storage { bucket, prefix })
    }

    fn trusted(&self, url: &Url) -> Client {
        if address::is_loopback(url) { self.here.clone() } else { self.out.clone() }
    }

    /// How a place is reached that a caller named.
    fn door(&self, endpoint: &str) -> Result<(Client, Url), String> {
        let url = endpoint_of(endpoint)?;
        if self.endpoints.iter().any(|allowed| allowed.origin() == url.origin()) {
            return Ok((self.trusted(&url), url));
        }
        match address::foreign(endpoint)? {
            (_, Reach::Public) => Ok((self.guarded.clone(), url)),
            (_, Reach::Loopback) => Err("it must be https at a public address".to_owned()),
        }
    }
}

fn plain() -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_PATIENCE)
        .read_timeout(SILENCE)
}

fn amazon(region: &str) -> String {
    format!("https://s3.{region}.amazonaws.com")
}

/// A base URL whose path is signed as it stands.
fn endpoint_of(text: &str) -> Result<Url, String> {
    let url = address::plain(text)?;
    let named = |name: &str| name.is_empty() || is_plain(name);
    if url.path().split('/').all(named) { Ok(url) } else { Err("its path is too odd".to_owned()) }
}

fn prefix_of(text: &str) -> Result<String, String> {
    let plain = text.trim_matches('/');
    if plain.len() <= MAX_NAME && (plain.is_empty() || plain.split('/').all(is_plain)) {
        return Ok(plain.to_owned());
    }
    Err("prefix must be names of [A-Za-z0-9._-] with slashes between".to_owned())
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if is_plain(name) && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(format!("{what} must be 1 to {MAX_NAME} of [A-Za-z0-9._-]"))
}

/// It stands in a header, between a sign and a slash.
fn check_key_id(what: &str, id: &str) -> Result<(), String> {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'=');
    if (1..=MAX_CREDENTIAL).contains(&id.len()) && id.bytes().all(is_fine) {
        return Ok(());
    }
    Err(format!("{what} is not the name of a key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn doors(endpoints: &[&str]) -> Doors {
        let endpoints = endpoints.iter().map(ToString::to_string).collect();
        Doors::new(&SnapshotsConfig { endpoints, ..SnapshotsConfig::default() }).unwrap()
    }

    fn storage(change: Value) -> SnapshotStorage {
        let mut storage = json!({
            "type": "s3", "bucket": "b",
            "credentials": {"accessKeyId": "id", "secretAccessKey": "hunter2"},
        });
        for (field, value) in change.as_object().unwrap() {
            storage[field] = value.clone();
        }
        serde_json::from_value(storage).unwrap()
    }

    #[test]
    fn a_callers_storage_is_public_unless_the_operator_allows_it() {
        let doors = doors(&["http://127.0.0.1:9000"]);
        for endpoint in ["https://s3.example.com", "http://127.0.0.1:9000", "https://1.1.1.1/a"] {
            assert!(doors.foreign(&storage(json!({"endpoint": endpoint}))).is_ok(), "{endpoint}");
        }
        for endpoint in [
            "http://127.0.0.1:9001",
            "http://s3.example.com",
            "https://127.0.0.1:9000",
            "https://169.254.169.254",
            "http://localhost:9000",
            "https://user:password@s3.example.com",
            "https://s3.example.com/?a",
            "https://s3.example.com/a%20b",
            "file:///etc",
            "",
        ] {
            let refused = doors.foreign(&storage(json!({"endpoint": endpoint})));
            assert!(matches!(refused, Err(SnapshotError::Invalid(_))), "{endpoint}");
        }
    }

    #[test]
    fn names_in_a_callers_bucket_begin_as_asked_and_with_a_folder_of_their_own_otherwise() {
        let doors = doors(&[]);
        for (change, key) in [
            (json!({}), "sandbox-snapshots/a"),
            (json!({"prefix": null}), "sandbox-snapshots/a"),
            (json!({"prefix": "sandbox-snapshots/"}), "sandbox-snapshots/a"),
            (json!({"prefix": "/team/b/"}), "team/b/a"),
            (json!({"prefix": ""}), "a"),
            (json!({"prefix": "/"}), "a"),
        ] {
            assert_eq!(doors.foreign(&storage(change.clone())).unwrap().key("a"), key, "{change}");
        }
    }

    #[test]
    fn odd_storage_is_refused_without_its_secret() {
        let doors = doors(&[]);
        assert!(doors.foreign(&storage(json!({"prefix": "/a/b/"}))).is_ok());
        for change in [
            json!({"type": "ftp"}),
            json!({"type": "r2"}),
            json!({"bucket": "../b"}),
            json!({"bucket": ""}),
            json!({"region": "a/b"}),
            json!({"region": "evil.example.com/#"}),
            json!({"prefix": "a/../b"}),
            json!({"prefix": "a//b"}),
            json!({"credentials": {"accessKeyId": "a\nb", "secretAccessKey": "hunter2"}}),
            json!({"credentials": {"accessKeyId": "a", "secretAccessKey": ""}}),
        ] {
            let storage = storage(change.clone());
            let refused = doors.foreign(&storage).unwrap_err();
            assert!(!format!("{refused} {refused:?} {storage:?}").contains("hunter2"), "{change}");
        }
    }

    #[test]
    fn half_a_configuration_is_refused_and_says_what_is_missing() {
        let config = SnapshotsConfig { s3_bucket: Some("b".into()), ..SnapshotsConfig::default() };
        let words = doors(&[]).own(&config).unwrap_err();
        assert!(words.contains("SKEIN_SNAPSHOTS_S3_ACCESS_KEY_ID"), "{words}");
        assert!(doors(&[]).own(&SnapshotsConfig::default()).unwrap().is_none());
    }
}

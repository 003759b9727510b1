//! Signatures of requests in the S3 protocol: AWS Signature, version 4.

use aws_lc_rs::{digest, hmac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::iso;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Headers that every request has, and that are signed.
const HEADERS: &str = "host;x-amz-content-sha256;x-amz-date";

/// Signs in the name of one account.
pub(super) struct Signer {
    key_id: String,
    secret: SecretString,
    region: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).finish_non_exhaustive()
    }
}

/// What is signed of a request. Path and query are percent-encoded; the query is in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signable<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Of the body, as [`sha256`] gives it.
    pub(super) digest: &'a str,
}

impl Signer {
    pub(super) fn new(key_id: String, secret: SecretString, region: String) -> Self {
        Self { key_id, secret, region }
    }

    /// The headers `x-amz-date` and `authorization` of a request that is sent now.
    pub(super) fn sign(&self, request: Signable<'_>, now_ms: i64) -> (String, String) {
        let time = basic_time(now_ms);
        let day = time.get(..8).unwrap_or_default();
        let Signable { method, host, path, query, digest } = request;
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{digest}\n\
             x-amz-date:{time}\n\n{HEADERS}\n{digest}"
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let first = format!("AWS4{}", self.secret.expose_secret());
        let mut key = mac(first.as_bytes(), day);
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = mac(key.as_ref(), part);
        }
        let signature = hex::encode(mac(key.as_ref(), &text).as_ref());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope},SignedHeaders={HEADERS},Signature={signature}",
            self.key_id
        );
        (time, authorization)
    }
}

/// `20260131T080910Z`.
fn basic_time(ms: i64) -> String {
    let plain: String = iso(ms).chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{}Z", plain.split('.').next().unwrap_or_default())
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// In hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const IN_PATHS: AsciiSet = UNRESERVED.remove(b'/');

/// Percent-encodes everything but what never has a meaning of its own.
pub(super) fn encode(text: &str, keep_slashes: bool) -> String {
    let set = if keep_slashes { &IN_PATHS } else { &UNRESERVED };
    utf8_percent_encode(text, set).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_as_the_protocols_own_example_is() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let signer = Signer::new("AKIAIOSFODNN7EXAMPLE".into(), secret.into(), "us-east-1".into());
        let request = Signable {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/",
            query: "max-keys=2&prefix=J",
            digest: &sha256(b""),
        };
        // 2013-05-24T00:00:00Z.
        let (time, authorization) = signer.sign(request, 1_369_353_600_000);
        assert_eq!(time, "20130524T000000Z");
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
        assert!(!format!("{signer:?}").contains("wJalr"));
    }

    #[test]
    fn names_are_encoded_so_that_they_stay_what_they_are() {
        assert_eq!(encode("a b/ä?&=+%", true), "a%20b/%C3%A4%3F%26%3D%2B%25");
        assert_eq!(encode("a/b", false), "a%2Fb");
        assert_eq!(encode("A-z_0.~", false), "A-z_0.~");
    }
}

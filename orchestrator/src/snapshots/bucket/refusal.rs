//! Why a service did not do what it was asked for, and who can mend that.

use reqwest::{Method, Response, StatusCode};

use super::{super::SnapshotError, text, xml};
use crate::flaw::Flaw;

/// Longest refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 << 10;
/// What a service may forbid although the key is right: the clock here is wrong, or the object is
/// put away where it can't be read at once.
const NOT_OF_THE_KEY: &[&str] = &["RequestTimeTooSkewed", "InvalidObjectState"];

/// Who named the bucket and its key, and so has to mend what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Owner {
    Operator,
    Caller,
}

/// Why the service did not do it. `key`: of the object, or empty when the bucket was listed.
pub(super) async fn refusal(
    owner: Owner,
    method: &Method,
    key: &str,
    answer: Response,
) -> SnapshotError {
    let status = answer.status();
    let told = text(answer, MAX_REFUSAL).await.ok();
    // The code is a word; what else it says may quote the request.
    let code = told.and_then(|told| xml::texts(&told, "Code").next()).unwrap_or_default();
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let is_missing = status == StatusCode::NOT_FOUND;
    let is_of_the_bucket = key.is_empty() || code == "NoSuchBucket";
    // What was to be removed is gone, with its bucket or without.
    if is_missing && (method == Method::DELETE || method == Method::GET && !is_of_the_bucket) {
        return SnapshotError::NotFound;
    }
    if owner == Owner::Caller
        && let Some(flaw) = flaw(status, &code, is_of_the_bucket)
    {
        return SnapshotError::Flawed(flaw);
    }
    SnapshotError::Storage(format!("it answered {} {code}", status.as_u16()).trim_end().to_owned())
}

/// What a caller has to mend in the storage that came with the request. The service's own words are
/// not told: they may quote the key.
fn flaw(status: StatusCode, code: &str, is_of_the_bucket: bool) -> Option<Flaw> {
    match (status, code) {
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed") => {
            let words = "must be the bucket's own: the storage says that it is in another";
            Some(Flaw::new("storage.region", words))
        }
        (_, "InvalidBucketName") => {
            Some(Flaw::new("storage.bucket", "must be a name that the storage takes"))
        }
        (_, "ExpiredToken" | "InvalidToken") => {
            let words = "must open the bucket: the storage says that they no longer do";
            Some(Flaw::new("storage.credentials", words))
        }
        (StatusCode::NOT_FOUND, _) if is_of_the_bucket => {
            let words = "must name a bucket that exists: the storage has none of this name";
            Some(Flaw::new("storage.bucket", words))
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, code)
            if !NOT_OF_THE_KEY.contains(&code) =>
        {
            let why = match code {
                "InvalidAccessKeyId" => "the storage does not know the access key",
                "SignatureDoesNotMatch" => "the secret is not that of the access key",
                _ => "the storage denies them what was to be done",
            };
            Some(Flaw::new("storage.credentials", &format!("must open the bucket: {why}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a refusal.
    async fn refused(
        owner: Owner,
        method: Method,
        key: &str,
        (status, code): (u16, &str),
    ) -> SnapshotError {
        let body = format!("<Error><Code>{code}</Code><Key>hunter2</Key></Error>");
        let answer = axum::http::Response::builder().status(status).body(body).unwrap();
        refusal(owner, &method, key, answer.into()).await
    }

    #[tokio::test]
    async fn only_an_object_that_is_not_there_is_no_such_snapshot() {
        for owner in [Owner::Operator, Owner::Caller] {
            for code in ["NoSuchKey", ""] {
                let missing = refused(owner, Method::GET, "a", (404, code)).await;
                assert!(matches!(missing, SnapshotError::NotFound), "{code}: {missing}");
            }
            for (method, key, code) in [
                (Method::GET, "a", "NoSuchBucket"),
                (Method::GET, "", "NoSuchBucket"),
                (Method::GET, "", ""),
                (Method::POST, "a", "NoSuchBucket"),
                (Method::POST, "a", "NoSuchUpload"),
                (Method::PUT, "a", ""),
            ] {
                let other = refused(owner, method.clone(), key, (404, code)).await;
                assert!(!matches!(other, SnapshotError::NotFound), "{method} {key:?} {code}");
            }
            let removed = refused(owner, Method::DELETE, "a", (404, "NoSuchBucket")).await;
            assert!(matches!(removed, SnapshotError::NotFound), "{removed}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_bucket_is_told_to_whoever_named_it() {
        for (status, code, field) in [
            (404, "NoSuchBucket", "storage.bucket"),
            (403, "InvalidAccessKeyId", "storage.credentials"),
            (403, "SignatureDoesNotMatch", "storage.credentials"),
            (403, "AccessDenied", "storage.credentials"),
            (403, "", "storage.credentials"),
            (401, "Unauthorized", "storage.credentials"),
            (403, "hunter2", "storage.credentials"),
            (400, "ExpiredToken", "storage.credentials"),
            (301, "PermanentRedirect", "storage.region"),
            (400, "AuthorizationHeaderMalformed", "storage.region"),
            (400, "InvalidBucketName", "storage.bucket"),
        ] {
            let own = refused(Owner::Operator, Method::POST, "a", (status, code)).await;
            assert!(matches!(own, SnapshotError::Storage(_)), "{code}: {own}");
            match refused(Owner::Caller, Method::POST, "a", (status, code)).await {
                SnapshotError::Flawed(flaw) => {
                    assert!(flaw.to_string().starts_with(&format!("{field} must ")), "{flaw}");
                    assert!(flaw.fields().unwrap().contains_key(field), "{flaw}");
                    assert!(!flaw.to_string().contains("hunter2"), "{flaw}");
                }
                other => panic!("{code}: {other}"),
            }
        }
    }

    #[tokio::test]
    async fn what_no_caller_can_mend_is_the_storages_fault() {
        for refusal in [
            (403, "RequestTimeTooSkewed"),
            (403, "InvalidObjectState"),
            (404, "NoSuchUpload"),
            (503, "SlowDown"),
        ] {
            let failed = refused(Owner::Caller, Method::PUT, "a", refusal).await;
            assert!(matches!(failed, SnapshotError::Storage(_)), "{refusal:?}: {failed}");
        }
    }
}

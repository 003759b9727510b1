//! A webhook is believed only with a fresh signature over exactly its body.
#![allow(clippy::unwrap_used)]

use sandbox_sdk::auth::webhook::{SignatureError, sign, verify};
use secrecy::SecretString;

const NOW: i64 = 1_800_000_000;
const BODY: &[u8] = br#"{"id":"1","type":"turn.ended"}"#;

fn secret() -> SecretString {
    "0123456789abcdef0123456789abcdef".into()
}

#[test]
fn a_fresh_signature_over_the_body_is_accepted() {
    let header = sign(&secret(), NOW, BODY);
    assert_eq!(verify(&secret(), &header, BODY, NOW), Ok(()));
}

#[test]
fn the_signature_is_hmac_sha256_over_time_dot_body() {
    // Computed with `openssl dgst -sha256 -hmac key` over `1.hi`.
    let header = sign(&"key".into(), 1, b"hi");
    assert_eq!(header, format!("t=1,v1={EXPECTED}"));
}

const EXPECTED: &str = "7630b1ac232f1f705ce0be565bdc2947f0eefa51b3549b6a01226c6afc8b62c8";

#[test]
fn another_body_another_time_or_another_secret_does_not_match() {
    let header = sign(&secret(), NOW, BODY);
    assert_eq!(verify(&secret(), &header, b"{}", NOW), Err(SignatureError::Mismatch));
    let moved = header.replace(&NOW.to_string(), &(NOW + 1).to_string());
    assert_eq!(verify(&secret(), &moved, BODY, NOW), Err(SignatureError::Mismatch));
    let other = SecretString::from("fedcba9876543210fedcba9876543210");
    assert_eq!(verify(&other, &header, BODY, NOW), Err(SignatureError::Mismatch));
}

#[test]
fn a_signature_counts_for_five_minutes_either_way() {
    let header = sign(&secret(), NOW, BODY);
    for (now, verdict) in [
        (NOW + 300, Ok(())),
        (NOW - 300, Ok(())),
        (NOW + 301, Err(SignatureError::Stale)),
        (NOW - 301, Err(SignatureError::Stale)),
        (i64::MIN, Err(SignatureError::Stale)),
        (i64::MAX, Err(SignatureError::Stale)),
    ] {
        assert_eq!(verify(&secret(), &header, BODY, now), verdict, "{now}");
    }
}

#[test]
fn one_matching_signature_among_several_is_enough() {
    let old = sign(&"an older secret of the same sender!!".into(), NOW, BODY);
    let new = sign(&secret(), NOW, BODY);
    let both = format!("{old},{}", new.split_once(',').unwrap().1);
    assert_eq!(verify(&secret(), &both, BODY, NOW), Ok(()));
    let later_scheme = format!("{new},v2=later");
    assert_eq!(verify(&secret(), &later_scheme, BODY, NOW), Ok(()));
}

#[test]
fn a_header_that_cannot_be_read_is_refused() {
    let good = sign(&secret(), NOW, BODY);
    let tag = good.split_once(',').unwrap().1;
    for header in [
        "",
        "t=1",
        "v1=00",
        tag,
        "t=,v1=00",
        "t=x,v1=00",
        "t=-1,v1=00",
        "t=1,v1=zz",
        &format!("t={NOW},{good}"),
        &format!("{good}{}", ",v1=00".repeat(8)),
        &"x".repeat(5000),
    ] {
        let verdict = verify(&secret(), header, BODY, NOW);
        assert_eq!(verdict, Err(SignatureError::Malformed), "{header}");
    }
}

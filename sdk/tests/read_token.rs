//! What an issuer makes is accepted; everything an honest issuer would not have made is refused.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sandbox_sdk::auth::{
    IssueRequest, IssuerConfig, KeyError, PreviousSecret, ProductTokenIssuer, ReadTokenVerifier,
    Scope, Tier, TierTtl, TokenError, VerifierConfig,
};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";
const NOW: i64 = 1_800_000_000;

fn issuer() -> ProductTokenIssuer {
    ProductTokenIssuer::new(IssuerConfig::new("skein", SECRET)).unwrap()
}

fn verifier() -> ReadTokenVerifier {
    ReadTokenVerifier::new(VerifierConfig::new("skein", SECRET)).unwrap()
}

fn request(tier: Tier) -> IssueRequest {
    IssueRequest {
        user_id: "user-1".into(),
        session_id: "session-1".into(),
        tier,
        sandbox_id: Some("sandbox-0123456789ab".into()),
    }
}

fn good_claims() -> Value {
    json!({
        "sub": "user-1", "sid": "session-1", "pid": "skein", "typ": "read",
        "iat": NOW, "exp": NOW + 600
    })
}

/// Signs any header and any payload text with HS256, whatever they say.
fn signed(header: &str, payload: &str, secret: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn verdict(payload: &Value) -> Result<(), &'static str> {
    let token = signed(HEADER, &payload.to_string(), SECRET);
    verifier().verify_at(&token, NOW * 1000).map(drop).map_err(TokenError::code)
}

/// The good claims with one of them changed (or, with `null`, taken away).
fn with(claim: &str, value: Value) -> Value {
    let mut claims = good_claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
        value => claims[claim] = value,
    }
    claims
}

#[test]
fn an_issued_token_is_accepted_and_says_what_was_asked_for() {
    let issued = issuer().issue_at(&request(Tier::Free), NOW).unwrap();
    let claims = verifier().verify_at(&issued.token, NOW * 1000).unwrap();
    assert_eq!(claims.user_id, "user-1");
    assert_eq!(claims.product_id, "skein");
    assert_eq!(claims.scope, Scope::Session("session-1".into()));
    assert_eq!(claims.sandbox_id.as_deref(), Some("sandbox-0123456789ab"));
    assert_eq!((claims.issued_at, claims.expires_at), (NOW, NOW + 30 * 60));
    assert_eq!(issued.expires_at, claims.expires_at);
}

#[test]
fn the_header_is_exactly_hs256_and_jwt() {
    let issued = issuer().issue(&request(Tier::Free)).unwrap();
    let header = URL_SAFE_NO_PAD.decode(issued.token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
}

#[test]
fn an_absent_sandbox_leaves_no_claim_behind() {
    let issued = issuer().issue(&IssueRequest { sandbox_id: None, ..request(Tier::Free) }).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(issued.token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload.get("cid"), None);
}

#[test]
fn a_tier_decides_how_long_a_token_lasts() {
    let minutes = |tier| issuer().ttl(tier).as_secs() / 60;
    assert_eq!([Tier::Free, Tier::Pro, Tier::Enterprise].map(minutes), [30, 240, 480]);
    assert_eq!(
        ["paid", "pro", "enterprise", "free", "gold"].map(Tier::from),
        [Tier::Pro, Tier::Pro, Tier::Enterprise, Tier::Free, Tier::Free]
    );
}

#[test]
fn no_tier_gets_past_the_cap() {
    let ttl = TierTtl { max: Duration::from_secs(120), ..TierTtl::default() };
    let config = IssuerConfig { ttl, ..IssuerConfig::new("skein", SECRET) };
    let issued =
        ProductTokenIssuer::new(config).unwrap().issue_at(&request(Tier::Enterprise), NOW).unwrap();
    assert_eq!(issued.expires_at, NOW + 120);
}

#[test]
fn short_secrets_and_empty_names_make_no_issuer_and_no_token() {
    let short = ProductTokenIssuer::new(IssuerConfig::new("skein", "x".repeat(31)));
    assert_eq!(short.err(), Some(KeyError::SecretTooShort));
    let nameless = ProductTokenIssuer::new(IssuerConfig::new("", SECRET));
    assert_eq!(nameless.err(), Some(KeyError::ProductId));
    assert!(ReadTokenVerifier::new(VerifierConfig::new("skein", "short")).is_err());
    let userless = IssueRequest { user_id: String::new(), ..request(Tier::Free) };
    assert_eq!(issuer().issue(&userless), Err(KeyError::EmptyClaim("user id")));
}

#[test]
fn no_token_is_missing_and_noise_is_invalid() {
    let code = |token: &str| verifier().verify(token).unwrap_err().code();
    assert_eq!(code(""), "TOKEN_MISSING");
    for noise in ["x", "a.b", "a.b.c", "a.b.c.d", "..", "....", "\u{0}.\u{0}.\u{0}"] {
        assert_eq!(code(noise), "TOKEN_INVALID", "{noise:?}");
    }
}

#[test]
fn a_token_of_more_than_four_kilobytes_is_not_even_read() {
    let padded = with("note", json!("x".repeat(5000)));
    assert_eq!(verdict(&padded), Err("TOKEN_INVALID"));
}

#[test]
fn only_hs256_is_accepted_whatever_the_header_says() {
    let payload = good_claims().to_string();
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"HS384","typ":"JWT"}"#,
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
    ] {
        let token = signed(header, &payload, SECRET);
        let code = verifier().verify_at(&token, NOW * 1000).unwrap_err().code();
        assert_eq!(code, "TOKEN_INVALID", "{header}");
    }
    let unsigned = signed(r#"{"alg":"none"}"#, &payload, SECRET);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    assert!(verifier().verify_at(&unsigned, NOW * 1000).is_err());
}

#[test]
fn an_unknown_header_field_does_no_harm() {
    let token = signed(r#"{"alg":"HS256","kid":"2"}"#, &good_claims().to_string(), SECRET);
    assert!(verifier().verify_at(&token, NOW * 1000).is_ok());
}

#[test]
fn a_token_without_exp_or_with_one_that_is_no_number_is_refused() {
    for exp in [Value::Null, json!("1900000000"), json!(1.5), json!(true), json!([NOW])] {
        assert_eq!(verdict(&with("exp", exp.clone())), Err("TOKEN_INVALID"), "{exp}");
    }
}

#[test]
fn a_token_without_sub_or_with_one_that_is_no_text_is_refused() {
    for sub in [Value::Null, json!(""), json!(7), json!({"id": "user-1"})] {
        assert_eq!(verdict(&with("sub", sub.clone())), Err("TOKEN_INVALID"), "{sub}");
    }
}

#[test]
fn a_token_is_good_up_to_and_including_its_last_second() {
    let token = signed(HEADER, &good_claims().to_string(), SECRET);
    let at = |seconds: i64| verifier().verify_at(&token, seconds * 1000 + 999).map(drop);
    assert_eq!(at(NOW + 599), Ok(()));
    assert_eq!(at(NOW + 600), Ok(()));
    assert_eq!(at(NOW + 601), Err(TokenError::Expired));
}

#[test]
fn leeway_is_none_unless_asked_for() {
    let token = signed(HEADER, &good_claims().to_string(), SECRET);
    let config =
        VerifierConfig { leeway: Duration::from_secs(30), ..VerifierConfig::new("skein", SECRET) };
    let lenient = ReadTokenVerifier::new(config).unwrap();
    assert!(lenient.verify_at(&token, (NOW + 630) * 1000).is_ok());
    assert_eq!(lenient.verify_at(&token, (NOW + 631) * 1000), Err(TokenError::Expired));
}

#[test]
fn a_token_that_lasts_longer_than_the_cap_is_refused() {
    let eight_hours = 8 * 3600;
    assert_eq!(verdict(&with("exp", json!(NOW + eight_hours))), Ok(()));
    assert_eq!(verdict(&with("exp", json!(NOW + eight_hours + 1))), Err("TOKEN_INVALID"));
    assert_eq!(verdict(&with("iat", Value::Null)), Err("TOKEN_INVALID"));
    assert_eq!(verdict(&with("exp", json!(i64::MAX))), Err("TOKEN_INVALID"));
}

#[test]
fn the_cap_cannot_be_got_around_with_an_iat_in_the_future() {
    let mut claims = with("iat", json!(NOW + 10_000_000));
    claims["exp"] = json!(NOW + 10_000_600);
    assert_eq!(verdict(&claims), Err("TOKEN_INVALID"));
    assert_eq!(verdict(&with("nbf", json!(NOW + 10))), Err("TOKEN_INVALID"));
}

#[test]
fn a_token_of_another_type_is_refused_as_such() {
    for kind in [json!("collaboration"), json!("sidecar"), json!("READ"), Value::Null] {
        assert_eq!(verdict(&with("typ", kind.clone())), Err("TOKEN_WRONG_TYPE"), "{kind}");
    }
}

#[test]
fn a_token_has_exactly_one_scope() {
    assert_eq!(verdict(&with("sid", Value::Null)), Err("TOKEN_INVALID"));
    assert_eq!(verdict(&with("sid", json!(""))), Err("TOKEN_INVALID"));
    assert_eq!(verdict(&with("projectId", json!("p"))), Err("TOKEN_INVALID"));
    assert_eq!(verdict(&with("projectIds", json!([]))), Err("TOKEN_INVALID"));
    let mut project = with("projectId", json!("p"));
    project.as_object_mut().unwrap().remove("sid");
    assert_eq!(verdict(&project), Ok(()));
    project["projectIds"] = json!(["p", "q"]);
    assert_eq!(verdict(&project), Err("TOKEN_INVALID"));
}

#[test]
fn a_claim_given_twice_is_refused_whichever_of_them_is_good() {
    for payload in [
        format!(
            r#"{{"sub":"a","sid":"s","sid":"t","pid":"skein","typ":"read","iat":{NOW},"exp":{NOW}}}"#
        ),
        format!(
            r#"{{"sub":"a","sid":"s","pid":"skein","typ":"read","iat":{NOW},"exp":1,"exp":{NOW}}}"#
        ),
        format!(
            r#"{{"sub":"a","sid":"s","pid":"skein","typ":"read","iat":{NOW},"exp":{NOW},"exp":1}}"#
        ),
    ] {
        let token = signed(HEADER, &payload, SECRET);
        let code = verifier().verify_at(&token, NOW * 1000).unwrap_err().code();
        assert_eq!(code, "TOKEN_INVALID", "{payload}");
    }
}

#[test]
fn another_products_token_is_not_found_and_a_suspended_products_is_refused() {
    assert_eq!(verdict(&with("pid", json!("other"))), Err("PRODUCT_NOT_FOUND"));
    assert_eq!(verdict(&with("pid", Value::Null)), Err("TOKEN_INVALID"));
    let mut config = VerifierConfig::new("skein", SECRET);
    config.products[0].suspended = true;
    let token = signed(HEADER, &good_claims().to_string(), SECRET);
    let refused = ReadTokenVerifier::new(config).unwrap().verify_at(&token, NOW * 1000);
    assert_eq!(refused, Err(TokenError::ProductSuspended));
}

#[test]
fn one_products_secret_signs_nothing_for_another() {
    let mut config = VerifierConfig::new("skein", SECRET);
    config.products.extend(VerifierConfig::new("other", OTHER_SECRET).products);
    let verifier = ReadTokenVerifier::new(config).unwrap();
    let forged = signed(HEADER, &with("pid", json!("other")).to_string(), SECRET);
    assert_eq!(verifier.verify_at(&forged, NOW * 1000), Err(TokenError::SignatureInvalid));
}

#[test]
fn any_change_to_a_token_breaks_it() {
    let token = issuer().issue_at(&request(Tier::Free), NOW).unwrap().token;
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verifier().verify_at(&changed, NOW * 1000).is_err(), "byte {index}");
    }
}

#[test]
fn the_previous_secret_counts_until_it_expires() {
    let token = signed(HEADER, &good_claims().to_string(), OTHER_SECRET);
    let until_ms = (NOW + 60) * 1000;
    let mut config = VerifierConfig::new("skein", SECRET);
    config.products[0].previous =
        Some(PreviousSecret { secret: OTHER_SECRET.into(), expires_at_ms: until_ms });
    let verifier = ReadTokenVerifier::new(config).unwrap();
    assert!(verifier.verify_at(&token, until_ms - 1).is_ok());
    assert_eq!(verifier.verify_at(&token, until_ms), Err(TokenError::SignatureInvalid));
    let current = signed(HEADER, &good_claims().to_string(), SECRET);
    assert!(verifier.verify_at(&current, until_ms).is_ok());
}

#[test]
fn a_token_may_replace_another_only_with_the_same_authority() {
    let claims = |request: &IssueRequest, at: i64| {
        let issued = issuer().issue_at(request, at).unwrap();
        verifier().verify_at(&issued.token, at * 1000).unwrap()
    };
    let first = claims(&request(Tier::Free), NOW);
    assert!(first.same_authority(&claims(&request(Tier::Free), NOW + 60)));
    let other = IssueRequest { session_id: "session-2".into(), ..request(Tier::Free) };
    assert!(!first.same_authority(&claims(&other, NOW)));
}

#[test]
fn neither_secret_nor_token_shows_in_debug_output() {
    let issued = issuer().issue_at(&request(Tier::Free), NOW).unwrap();
    let shown = format!(
        "{:?} {:?} {:?} {:?} {issued:?}",
        issuer(),
        verifier(),
        IssuerConfig::new("skein", SECRET),
        VerifierConfig::new("skein", SECRET),
    );
    assert!(!shown.contains(SECRET) && !shown.contains(&issued.token), "{shown}");
}

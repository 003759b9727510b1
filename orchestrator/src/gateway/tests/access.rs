//! Who is let in, to what, and for how long.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use super::{
    ORIGIN, SECRET, Stage,
    viewer::{Offer, Viewer},
};
use crate::{
    config::Tuning,
    log::tests::{event, the_box},
    store::SandboxRow,
};

async fn refused(stage: &Stage, query: &str, offer: Offer) -> u16 {
    let mut viewer = Viewer::open(&format!("{}?{query}", stage.url), offer).await.unwrap();
    viewer.closed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_does_not_get_a_socket() {
    let stage = Stage::new().await;
    let good = Offer::bearer(&stage.token("alice", "s"));
    for origin in ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:3000.evil"]
    {
        let offer = Offer { origin: Some(origin.to_owned()), ..good.clone() };
        let error = Viewer::open(&stage.url, offer).await.err().unwrap();
        assert!(matches!(error, Error::Http(answer) if answer.status() == 403), "{origin}");
    }
    assert!(Viewer::open(&stage.url, Offer { origin: None, ..good }).await.is_ok());
    let query = format!("{}?token={}", stage.url, stage.token("alice", "s"));
    assert!(Viewer::open(&query, Offer::default()).await.is_err(), "no origin and no header");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_comes_in_the_subprotocol_the_query_or_the_first_message() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let token = stage.token("alice", "s");
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    assert_eq!(viewer.response.headers()["sec-websocket-protocol"], "tangle.session.v1");
    let hello = viewer.expect("connection.established").await["data"].clone();
    assert_eq!(hello["subscribed"], json!(["session:s"]));
    assert_eq!(hello["lastSeq"], json!({"session:s": 0}));
    assert_eq!(hello["epoch"], json!(stage.bench.logs.epoch()));
    assert_eq!((&hello["protocol"], &hello["scope"]), (&json!(1), &json!("session")));

    let mut viewer =
        Viewer::open(&format!("{}?token={token}", stage.url), Offer::page()).await.unwrap();
    viewer.expect("connection.established").await;

    let mut viewer = Viewer::open(&stage.url, Offer::page()).await.unwrap();
    viewer.say(json!({"type": "auth", "token": token})).await;
    viewer.expect("connection.established").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_told_why_and_closed_with_4401() {
    let stage = Stage::new().await;
    let good = stage.token("alice", "s");
    let (signed, _) = good.rsplit_once('.').unwrap();
    for (token, code) in [
        (format!("{signed}.AAAA"), "SIGNATURE_INVALID"),
        ("nonsense".to_owned(), "TOKEN_INVALID"),
        ("x".repeat(20_000), "TOKEN_INVALID"),
    ] {
        let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
        assert_eq!(viewer.expect("error").await["code"], json!(code));
        assert_eq!(viewer.closed().await, 4401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_token_in_time_is_closed() {
    let tuning = Tuning { auth_timeout: Duration::from_millis(200), ..Tuning::default() };
    let stage = Stage::with(tuning).await;
    let mut silent = Viewer::open(&stage.url, Offer::page()).await.unwrap();
    assert_eq!(silent.expect("error").await["code"], json!("TOKEN_MISSING"));
    assert_eq!(silent.closed().await, 4401);
    let stage =
        Stage::with(Tuning { auth_timeout: Duration::from_secs(60), ..Tuning::default() }).await;
    let mut eager = Viewer::open(&stage.url, Offer::page()).await.unwrap();
    eager.say(json!({"type": "subscribe", "channels": ["session:s"]})).await;
    assert_eq!(eager.closed().await, 4400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_session_only() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let offer = Offer::bearer(&stage.token("alice", "s"));
    assert_eq!(refused(&stage, "sessionId=t", offer.clone()).await, 4403);
    let url = format!("{}?channels=session:t,agent:t,*", stage.url);
    let mut viewer = Viewer::open(&url, offer).await.unwrap();
    let hello = viewer.expect("connection.established").await["data"].clone();
    assert_eq!(hello["subscribed"], json!([]));
    assert_eq!(hello["denied"].as_array().unwrap().len(), 3);
    let other = stage.session("t").await;
    stage.bench.append(&other, vec![event(1, 1)]).await;
    viewer.say(json!({"type": "ping", "timestamp": 5})).await;
    assert_eq!(viewer.expect("pong").await["timestamp"], json!(5), "and nothing of the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_somebody_elses_is_closed_with_4403() {
    let stage = Stage::new().await;
    stage.session("s").await;
    assert_eq!(refused(&stage, "", Offer::bearer(&stage.token("eve", "s"))).await, 4403);
    // Also when it turns out to be so only later.
    let offer = Offer::bearer(&stage.token("eve", "later"));
    let mut viewer = Viewer::open(&stage.url, offer).await.unwrap();
    viewer.expect("connection.established").await;
    stage.session("later").await;
    assert_eq!(viewer.closed().await, 4403);
}

/// A token with the given claims of its scope.
fn scoped(scope: &serde_json::Value) -> String {
    let now = crate::clock::now_ms() / 1000;
    let mut claims =
        json!({"sub": "product", "pid": "skein", "typ": "read", "iat": now, "exp": now + 600});
    let claims_of = claims.as_object_mut().unwrap();
    claims_of.extend(scope.as_object().unwrap().clone());
    sign(&claims)
}

/// Session `s` in the sandbox `box`, and `t` in another.
async fn two_sandboxes() -> Stage {
    let stage = Stage::new().await;
    stage.session("s").await;
    let store = &stage.bench.store;
    let other = SandboxRow { id: "other".to_owned(), ..the_box() };
    assert!(store.insert_sandbox(&other, "{}", None).await.unwrap());
    assert!(store.map_session("t", "other", "bob", None).await.unwrap().is_some());
    for id in ["box", "other"] {
        let row = store.open_session(&format!("@{id}"), id).await.unwrap();
        stage.bench.logs.known_session(&row).await.unwrap();
    }
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_token_opens_its_own_sessions_and_no_others() {
    let stage = two_sandboxes().await;
    let token = scoped(&json!({"projectId": "box"}));
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    let hello = viewer.expect("connection.established").await["data"].clone();
    assert_eq!(
        (&hello["scope"], &hello["subscribed"]),
        (&json!("project"), &json!(["project:box"]))
    );
    let wished = [
        "session:s",
        "agent:s",
        "session:*",
        "system",
        "session:t",
        "agent:t",
        "session:none",
        "session:@box",
        "project:other",
        "project:*",
        "*",
        "random",
        "private:s",
        "system.x",
        "",
    ];
    viewer.say(json!({"type": "subscribe", "channels": wished})).await;
    let answer = viewer.expect("subscribed").await;
    assert_eq!(answer["channels"], json!(["session:s", "agent:s", "system"]));
    let denied = answer["denied"].as_array().unwrap().iter();
    let denied: Vec<_> = denied.map(|denied| denied["channel"].as_str().unwrap()).collect();
    assert_eq!(denied, wished[4..]);
    let log = stage.bench.logs.session("s").await.unwrap();
    stage.bench.append(&log, vec![event(1, 1)]).await;
    let seen = viewer.expect("agent.event").await;
    assert_eq!((&seen["channel"], &seen["seq"]), (&json!("session:s"), &json!(1)));
    // Its end is the end of its project.
    stage.bench.logs.forget("@box");
    assert_eq!(viewer.closed().await, 4404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_made_anew_is_heard_by_who_asks_for_it_again() {
    let stage = two_sandboxes().await;
    let token = scoped(&json!({"projectId": "box"}));
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    viewer.expect("connection.established").await;
    let wish = json!({"type": "subscribe", "channels": ["session:s"]});
    viewer.say(wish.clone()).await;
    viewer.expect("subscribed").await;
    let row = stage.bench.store.session("s").await.unwrap().unwrap();
    stage.bench.logs.forget("s");
    stage.bench.store.delete_session(row.key).await.unwrap();
    let log = stage.session("s").await;
    viewer.say(wish).await;
    viewer.expect("subscribed").await;
    stage.bench.append(&log, vec![event(1, 1)]).await;
    assert_eq!(viewer.expect("agent.event").await["seq"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_several_projects_opens_those_and_their_patterns() {
    let stage = two_sandboxes().await;
    let token = scoped(&json!({"projectIds": ["box", "other"]}));
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    let hello = viewer.expect("connection.established").await["data"].clone();
    assert_eq!(hello["scope"], json!("batch"));
    assert_eq!(hello["subscribed"], json!(["project:box", "project:other"]));
    viewer.say(json!({"type": "subscribe", "channels": ["session:*", "project:none"]})).await;
    let answer = viewer.expect("subscribed").await;
    assert_eq!(answer["channels"], json!(["session:s", "session:t"]));
    assert_eq!(answer["denied"][0]["channel"], json!("project:none"));
    let narrower = scoped(&json!({"projectId": "box"}));
    viewer.say(json!({"type": "token.update", "token": narrower})).await;
    assert_eq!(viewer.expect("error").await["code"], json!("TOKEN_SCOPE"));
    viewer.say(json!({"type": "token.update", "token": token})).await;
    viewer.expect("token.updated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_token_sees_what_a_session_is_mapped_to_by_either_name() {
    let stage = two_sandboxes().await;
    let mapped = stage.bench.store.map_session("b", "box", "alice", Some("s")).await.unwrap();
    stage.bench.logs.known_session(&mapped.unwrap().session).await.unwrap();
    let token = scoped(&json!({"projectId": "box"}));
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    viewer.expect("connection.established").await;
    viewer.say(json!({"type": "subscribe", "channels": ["session:b"]})).await;
    assert_eq!(viewer.expect("subscribed").await["channels"], json!(["session:b"]));
    viewer.say(json!({"type": "subscribe", "channels": ["session:*"]})).await;
    assert_eq!(viewer.expect("subscribed").await["channels"], json!(["session:b", "session:s"]));
    let log = stage.bench.logs.session("s").await.unwrap();
    stage.bench.append(&log, vec![event(1, 1)]).await;
    for channel in ["session:b", "session:s"] {
        let seen = viewer.expect("agent.event").await;
        assert_eq!((&seen["channel"], &seen["seq"]), (&json!(channel), &json!(1)));
    }
    // Mapped elsewhere, it is another log from the next subscription on, and in another epoch.
    let other = stage.session("other").await;
    stage.bench.append(&other, vec![event(7, 1), event(8, 1)]).await;
    stage.bench.store.map_session("b", "box", "alice", Some("other")).await.unwrap().unwrap();
    let wish = json!({"type": "subscribe", "channels": ["session:b"], "since": 0});
    viewer.say(wish).await;
    viewer.expect("subscribed").await;
    viewer.expect("replay.start").await;
    assert_eq!(viewer.expect("agent.event").await["data"]["data"]["number"], json!(7));
    let mut epochs = BTreeSet::new();
    for channels in ["session:s", "session:b", "session:other"] {
        let url = format!("{}?channels={channels}", stage.url);
        let mut viewer = Viewer::open(&url, Offer::bearer(&token)).await.unwrap();
        let hello = viewer.expect("connection.established").await;
        epochs.insert(hello["data"]["epoch"].as_str().unwrap().to_owned());
    }
    assert_eq!(epochs.len(), 2, "{epochs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_channels_and_no_more() {
    let stage = two_sandboxes().await;
    for index in 0..40 {
        stage.session(&format!("s{index}")).await;
    }
    let token = scoped(&json!({"projectId": "box"}));
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    viewer.expect("connection.established").await;
    let wish = json!({"type": "subscribe", "channels": ["session:*", "agent:*"]});
    viewer.say(wish).await;
    let answer = viewer.expect("subscribed").await;
    // The project's own is open already.
    assert_eq!(answer["channels"].as_array().unwrap().len(), 31);
    assert!(answer["denied"].as_array().unwrap().len() <= 32);
}

fn sign(claims: &serde_json::Value) -> String {
    use aws_lc_rs::hmac;
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes()).as_ref()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_no_number_is_a_protocol_error() {
    let stage = Stage::new().await;
    stage.session("s").await;
    for since in ["-1", "abc", "1;drop", "1e3", "18446744073709551616"] {
        let offer = Offer::bearer(&stage.token("alice", "s"));
        assert_eq!(refused(&stage, &format!("since={since}"), offer).await, 4400, "{since}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_never_outlives_its_token() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let token = stage.token_for("alice", "s", Duration::from_secs(10));
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    viewer.expect("connection.established").await;
    let warning = viewer.expect("token.expiring").await;
    assert!(warning["secondsRemaining"].as_u64().unwrap() <= 10);
    viewer.expect("token.expired").await;
    assert_eq!(viewer.closed().await, 4401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_in_place_by_one_of_the_same_authority_only() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    let token = stage.token_for("alice", "s", Duration::from_secs(12));
    let mut viewer = Viewer::open(&stage.url, Offer::bearer(&token)).await.unwrap();
    viewer.expect("connection.established").await;
    viewer.expect("token.expiring").await;
    for (user, session, code) in
        [("alice", "t", "TOKEN_SCOPE"), ("eve", "s", "TOKEN_SCOPE"), ("", "", "TOKEN_MISSING")]
    {
        let token = if user.is_empty() { String::new() } else { stage.token(user, session) };
        viewer.say(json!({"type": "token.update", "token": token})).await;
        assert_eq!(viewer.expect("error").await["code"], json!(code));
    }
    viewer.say(json!({"type": "token.update", "token": stage.token("alice", "s")})).await;
    viewer.expect("token.updated").await;
    // The first token is over by now; the connection and its place in the log are not.
    tokio::time::sleep(Duration::from_secs(13)).await;
    stage.bench.append(&log, vec![event(1, 1)]).await;
    assert_eq!(viewer.expect("agent.event").await["seq"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_another_port_default_is_still_the_same_page() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let origin = Some(ORIGIN.to_ascii_uppercase());
    let offer = Offer { origin, ..Offer::bearer(&stage.token("alice", "s")) };
    assert!(Viewer::open(&stage.url, offer).await.is_ok());
}

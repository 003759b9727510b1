//! The session cookie.

use serde_json::json;

use crate::support::{TestApp, message};

#[tokio::test]
async fn the_first_message_makes_a_guest_and_sets_a_host_cookie() {
    let app = TestApp::start().await;
    let answer = app.call("start_turn", message(None, "Hello")).await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 1);
    let cookie = cookies[0].to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    assert_eq!(name, app.cookie_name());
    assert_eq!(value.len(), 43, "32 random bytes");
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(attributes.split("; ").any(|found| found == attribute), "{attribute} in {cookie}");
    }
    assert!(!attributes.contains("Domain"), "{cookie}");
}

#[tokio::test]
async fn who_opens_a_page_gets_a_cookie_and_who_asks_only_for_its_head_does_not() {
    let app = TestApp::start().await;
    let asked = async |method| {
        let request = crate::support::request(method, "/").header("accept", "text/html");
        app.send(request.body(axum::body::Body::empty()).unwrap()).await
    };
    let (page, head) = (asked(http::Method::GET).await, asked(http::Method::HEAD).await);
    assert_eq!((page.status.as_u16(), head.status.as_u16()), (200, 200));
    assert!(page.headers.contains_key("set-cookie"));
    assert!(!head.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn nothing_but_a_message_makes_an_account() {
    let app = TestApp::start().await;
    let mut visitor = app.visitor();
    visitor.open("/").await;
    for answer in [
        visitor.visit("/").await,
        visitor.call("list_chats", json!({})).await,
        visitor.call("balance", json!({})).await,
        visitor.call("list_options", json!({})).await,
    ] {
        assert!(answer.status.is_success(), "{}", answer.body);
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    for senseless in [message(None, " "), message(None, &"x".repeat(100_001))] {
        assert_eq!(visitor.call("start_turn", senseless).await.status, 400);
    }
    let somebody_elses = message(Some(&crate::support::turn_id()), "Hello");
    assert_eq!(visitor.call("start_turn", somebody_elses).await.status, 404);
    assert_eq!(app.backend.audit().await.unwrap().accounts, 0);
}

#[tokio::test]
async fn a_first_message_whose_answer_is_lost_is_sent_again_by_the_same_guest() {
    let app = TestApp::start().await;
    let mut visitor = app.visitor();
    visitor.open("/").await;
    let given = visitor.cookie.clone().unwrap();
    let first = message(None, "Hello");
    let (one, two) = tokio::join!(
        visitor.call("start_turn", first.clone()),
        visitor.call("start_turn", first.clone())
    );
    let again = visitor.call("start_turn", first).await;
    let ids = [one, two, again].map(|answer| answer.ok()["user_message"]["id"].clone());
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(app.backend.audit().await.unwrap().accounts, 1);
    visitor.start_turn("More").await;
    assert_eq!(visitor.cookie.unwrap(), given);
}

#[tokio::test]
async fn the_cookie_of_another_installation_on_the_same_host_is_left_alone() {
    let (here, there) = (TestApp::start().await, TestApp::start().await);
    assert_ne!(here.cookie_name(), there.cookie_name());
    let mut person = here.guest().await;
    let elsewhere = there.guest().await.cookie.unwrap();
    person.cookie = Some(format!("{elsewhere}; {}", person.cookie.unwrap()));
    assert_eq!(person.call("list_chats", json!({})).await.ok().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_visitor_sees_what_a_guest_is_given() {
    let app = TestApp::builder().guest_credits(7).start().await;
    let balance = app.call("balance", json!({})).await.ok();
    assert_eq!(balance, json!({"available": 7_000_000, "held": 0, "guest": true}));
    assert_eq!(app.call("list_chats", json!({})).await.ok(), json!([]));
}

#[tokio::test]
async fn a_visitor_sees_what_there_is_to_choose_and_what_it_costs() {
    let app = TestApp::start().await;
    let options = app.call("list_options", json!({})).await.ok();
    let demo = json!({"agent": "demo", "model": "demo", "permissions": "everything"});
    assert_eq!(options["default"], demo);
    assert_eq!(options["agents"][0]["models"], json!(["demo"]));
    assert_eq!(options["models"][0]["input"], 100_000_000);
    let guest = app.guest().await;
    assert_eq!(guest.call("list_options", json!({})).await.ok()["default"], demo);
}

#[tokio::test]
async fn what_cannot_be_chosen_is_refused_before_an_account_pays_for_it() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let before = guest.call("balance", json!({})).await.ok();
    for (agent, model) in [("nobody", "demo"), ("demo", "anthropic/claude-opus-5"), ("demo", "")] {
        let mut request = message(None, "Hello");
        request["request"]["agent"] = json!(agent);
        request["request"]["model"] = json!(model);
        let refused = guest.call("start_turn", request).await;
        // It might be there: the orchestrator was never heard.
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (503, "unavailable".into()),
            "{agent}"
        );
    }
    assert_eq!(guest.call("balance", json!({})).await.ok(), before);
}

#[tokio::test]
async fn permissions_that_nobody_knows_are_refused_and_never_taken_for_others() {
    let app = TestApp::start().await;
    let (visitor, guest) = (app.visitor(), app.guest().await);
    for word in ["root", "", "Everything"] {
        for who in [&visitor, &guest] {
            let mut request = message(None, "Hello");
            request["request"]["permissions"] = json!(word);
            let refused = who.call("start_turn", request).await;
            assert_eq!(
                (refused.status.as_u16(), refused.code()),
                (400, "invalid".into()),
                "{word}"
            );
            assert!(refused.body.contains("no such permissions"), "{}", refused.body);
        }
    }
    assert_eq!(guest.call("list_chats", json!({})).await.ok().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_second_message_comes_from_the_same_guest() {
    let app = TestApp::start().await;
    let mut guest = app.guest().await;
    let cookie = guest.cookie.clone();
    guest.start_turn("Again").await;
    assert_eq!(guest.cookie, cookie);
    let chats = guest.call("list_chats", json!({})).await.ok();
    assert_eq!(chats.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_tampered_cookie_opens_nothing() {
    let app = TestApp::start().await;
    let mut guest = app.guest().await;
    let cookie = guest.cookie.clone().unwrap();
    let name = app.cookie_name();
    let last = cookie.chars().last().unwrap();
    let flipped = if last == 'A' { 'Q' } else { 'A' };
    let forged = [
        format!("{}{flipped}", &cookie[..cookie.len() - 1]),
        cookie[..cookie.len() - 1].to_owned(),
        format!("{cookie}A"),
        format!("{cookie}; {cookie}x"),
        format!("{name}="),
        format!("{name}=%00"),
        format!("{name}='; DROP TABLE accounts; --"),
        format!("{name}={}", "A".repeat(16 * 1024)),
        cookie.replace("__Host-", ""),
    ];
    for cookie in forged {
        guest.cookie = Some(cookie.clone());
        let answer = guest.call("rename_chat", json!({"chat_id": "x", "title": "y"})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (401, "unauthenticated".into()),
            "{cookie}"
        );
        assert_eq!(guest.call("list_chats", json!({})).await.ok(), json!([]), "{cookie}");
        assert!(guest.visit("/").await.status.is_success(), "{cookie}");
    }
}

#[tokio::test]
async fn a_cookie_that_is_no_text_is_no_session() {
    let app = TestApp::start().await;
    let cookie = [app.cookie_name().as_bytes(), b"=\xff\xfe"].concat();
    let request = crate::support::request(http::Method::GET, "/")
        .header("cookie", http::HeaderValue::from_bytes(&cookie).unwrap());
    let answer = app.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert!(answer.status.is_success());
}

#[tokio::test]
async fn the_database_holds_nothing_that_opens_a_session() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let cookie = guest.cookie.unwrap();
    let token = cookie.split_once('=').unwrap().1.as_bytes();
    let database = app.database_bytes();
    assert!(database.windows(5).any(|bytes| bytes == b"Hello"), "the message is there");
    assert!(!database.windows(token.len()).any(|bytes| bytes == token));
}

#[tokio::test]
async fn one_client_makes_so_many_guests_and_no_more() {
    let app = TestApp::builder().guests_per_hour(2).start().await;
    let guest = app.guest().await;
    app.guest().await;
    let refused = app.call("start_turn", message(None, "Hello")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "rate_limited".into()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(!refused.headers.contains_key("set-cookie"));
    let known = guest.call("start_turn", message(None, "Still here")).await;
    assert!(known.status.is_success(), "who has an account goes on: {}", known.body);
}

#[tokio::test]
async fn behind_a_trusted_proxy_every_client_has_its_own_allowance() {
    let app = TestApp::builder().guests_per_hour(1).proxy("127.0.0.0/8").start().await;
    let from = |address: &'static str| {
        crate::support::request(http::Method::POST, "/api/start_turn")
            .header("content-type", "application/json")
            .header("x-forwarded-for", address)
            .body(axum::body::Body::from(message(None, "Hello").to_string()))
            .unwrap()
    };
    assert_eq!(app.send(from("192.0.2.1")).await.status, 200);
    assert_eq!(app.send(from("192.0.2.2")).await.status, 200);
    assert_eq!(app.send(from("192.0.2.1")).await.status, 429);
    assert_eq!(app.send(from("203.0.113.9, 192.0.2.1")).await.status, 429, "forged first hop");
}

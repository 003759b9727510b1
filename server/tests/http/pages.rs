//! Pages, as the server renders them.

use serde_json::json;

use crate::support::{TestApp, turn_id};

/// Text of the person that would break out of each place it may stand in.
const HOSTILE: &str = "</script><script>alert(1)</script></textarea></title>\
                       <img src=x onerror=alert(2)> \"'><b>bold</b> &amp; <!--";

#[tokio::test]
async fn a_page_is_html_that_the_browser_takes_over() {
    let page = TestApp::start().await.visitor().visit("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.body.starts_with("<!DOCTYPE html>"), "{}", &page.body[..80.min(page.body.len())]);
    assert!(page.body.contains("/pkg/skein"), "{}", page.body);
}

#[tokio::test]
async fn a_page_that_does_not_exist_says_so_with_its_status() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let nowhere = format!("/chat/{}", turn_id());
    for path in ["/nothing", "/chat", "/chat/x/y", "/.env", "/.git/config", &nowhere, "/chat/%00"] {
        let page = guest.visit(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
    }
    assert_eq!(app.get("/nothing").await.body, "Not found.\n", "for programs");
}

#[tokio::test]
async fn a_chat_page_shows_what_was_said() {
    let app = TestApp::start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn("Tell me about umbrellas").await;
    let page = guest.visit(&format!("/chat/{}", started["chat"]["id"].as_str().unwrap())).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Tell me about umbrellas"));
}

#[tokio::test]
async fn what_a_person_typed_stays_text() {
    let app = TestApp::start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn(HOSTILE).await;
    let chat = started["chat"]["id"].as_str().unwrap();
    guest.call("rename_chat", json!({"chat_id": chat, "title": HOSTILE})).await.ok();
    for path in ["/".to_owned(), format!("/chat/{chat}")] {
        let page = guest.visit(&path).await.body;
        assert!(page.contains("alert(1)") || path == "/", "it is shown: {page}");
        for raw in ["<script>alert(1)", "<img src=x", "<b>bold", "</title><img", "<!-- <"] {
            assert!(!page.contains(raw), "{raw} in {page}");
        }
    }
}

#[tokio::test]
async fn the_state_of_a_page_cannot_close_its_script() {
    let app = TestApp::start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn(HOSTILE).await;
    let page =
        guest.visit(&format!("/chat/{}", started["chat"]["id"].as_str().unwrap())).await.body;
    for script in page.split("<script").skip(1) {
        let code = script.split("</script>").next().unwrap();
        assert!(!code.contains("<img") && !code.contains("<b>"), "{code}");
    }
    let opened = page.matches("<script").count();
    assert_eq!(opened, page.matches("</script>").count());
}

#[tokio::test]
async fn a_page_of_one_person_shows_nothing_of_another() {
    let app = TestApp::start().await;
    let mut alice = app.visitor();
    alice.start_turn("alices-secret-plan").await;
    let eve = app.guest().await;
    assert!(!eve.visit("/").await.body.contains("alices-secret-plan"));
    assert!(!app.visitor().visit("/").await.body.contains("alices-secret-plan"));
    assert!(alice.visit("/").await.body.contains("alices-secret-plan"));
}

#[tokio::test]
async fn pages_are_answered_while_another_router_is_put_together() {
    let app = TestApp::start().await;
    let state = app.state.clone();
    let others = tokio::task::spawn_blocking(move || {
        for _ in 0..200 {
            drop(server::router(state.clone()));
        }
    });
    loop {
        assert_eq!(app.visitor().visit("/").await.status, 200);
        if others.is_finished() {
            break;
        }
    }
}

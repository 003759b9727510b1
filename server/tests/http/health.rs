//! Probes.

use crate::support::TestApp;

#[tokio::test]
async fn the_process_is_alive_even_when_the_orchestrator_is_not() {
    let app = TestApp::start().await;
    assert_eq!((app.get("/healthz").await.status.as_u16()), 200);
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.starts_with("not ready: "), "{}", ready.body);
    for detail in ["127.0.0.1:9", "Connection refused", "orch_", "src/"] {
        assert!(!ready.body.contains(detail), "{}", ready.body);
    }
}

#[tokio::test]
async fn probes_ask_by_whatever_name_they_know() {
    let app = TestApp::start().await;
    let request = http::Request::get("/healthz").header("host", "10.0.0.7:3000");
    assert_eq!(app.send(request.body(axum::body::Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn without_its_database_the_server_says_so_and_tells_nothing() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    app.backend.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(app.get("/readyz").await.status, 503);
    assert_eq!(app.get("/healthz").await.status, 200);
    for answer in [
        guest.call("list_chats", serde_json::json!({})).await,
        guest.call("start_turn", crate::support::message(None, "Hello")).await,
    ] {
        assert!(matches!(answer.status.as_u16(), 500 | 503), "{answer:?}");
        assert!(matches!(answer.code().as_str(), "internal" | "unavailable"), "{answer:?}");
        let told = answer.body.to_ascii_lowercase();
        for detail in ["pool", "sqlite", "sqlx", "src/"] {
            assert!(!told.contains(detail), "{told}");
        }
    }
}

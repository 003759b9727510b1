//! What a failure says.

use std::time::Duration;

use axum::http::StatusCode;
use sandbox_sdk::{
    client::{Client, ClientConfig, Error},
    types::SessionMapping,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::service::{KEY, Service};

#[tokio::test]
async fn errors_say_what_the_service_said() {
    let body = json!({
        "success": false, "error": {"code": "GONE", "message": "gone"}, "reprovisionRequired": true
    });
    let service = Service::default().then_response((
        StatusCode::NOT_FOUND,
        [("x-request-id", "req-7")],
        body.to_string(),
    ));
    let client = service.start().await;
    let mapping = SessionMapping {
        user_id: "u".into(),
        sandbox_id: "sandbox-1".into(),
        runtime_session_id: None,
    };
    let error = client.register_mapping("s", &mapping).await.unwrap_err();
    assert_eq!(error.to_string(), "gone (GONE, HTTP 404, request req-7)");
    assert!(error.is_not_found() && error.reprovision_required() && !error.is_retryable());
}

#[tokio::test]
async fn a_silent_service_ends_in_a_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::new(ClientConfig::new(url, KEY)).unwrap();
    let client = client.with_timeout(Duration::from_millis(100));
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    let error = client.sandbox("sandbox-1").events("s", 0).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_transport_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(ClientConfig::new(url, KEY)).unwrap();
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)) && error.is_retryable(), "{error:?}");
}

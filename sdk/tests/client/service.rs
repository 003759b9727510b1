//! A service that answers as it is told, and what the tests ask of it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use sandbox_sdk::{
    client::{Client, ClientConfig},
    types::{Dispatch, InputPart, TurnLimits},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const KEY: &str = "orch_prod_0123456789abcdef";

/// A request as the service saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// A service that gives prepared answers in order and writes down what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Service {
    answers: Arc<Mutex<VecDeque<Response>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service {
    pub(crate) async fn start(self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Client::new(ClientConfig::new(url, KEY)).unwrap()
    }

    pub(crate) fn then(self, status: u16, body: Value) -> Self {
        self.then_response((StatusCode::from_u16(status).unwrap(), body.to_string()))
    }

    pub(crate) fn then_response(self, response: impl IntoResponse) -> Self {
        self.answers.lock().unwrap().push_back(response.into_response());
        self
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

async fn answer(
    State(service): State<Service>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    service.seen.lock().unwrap().push(Seen { line: format!("{method} {uri}"), headers, body });
    let answer = service.answers.lock().unwrap().pop_front();
    answer.unwrap_or_else(|| StatusCode::IM_A_TEAPOT.into_response())
}

pub(crate) fn sandbox(status: &str) -> Value {
    json!({"id": "sandbox-1", "status": status, "createdAt": "2026-01-01T00:00:00Z"})
}

pub(crate) fn dispatch() -> Dispatch {
    Dispatch {
        turn_id: "turn-1".into(),
        parts: vec![InputPart::Text { text: "hello".into() }],
        backend: None,
        limits: TurnLimits::default(),
        extra: Default::default(),
    }
}

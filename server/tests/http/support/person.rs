use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::app::request;
use super::{Answer, TestApp, turn_id};

/// Somebody with a browser: keeps the session cookie, sends what browsers send.
pub(crate) struct Person<'a> {
    app: &'a TestApp,
    pub(crate) cookie: Option<String>,
}

impl<'a> Person<'a> {
    pub(crate) fn new(app: &'a TestApp) -> Self {
        Self { app, cookie: None }
    }

    /// Calls a server function.
    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Answer {
        let request = self
            .with_cookie(request(Method::POST, &format!("/api/{name}")))
            .header("content-type", "application/json")
            .header("origin", "http://127.0.0.1:3000")
            .header("sec-fetch-site", "same-origin");
        self.app.send(request.body(Body::from(arguments.to_string())).unwrap()).await
    }

    /// Opens a page and keeps the cookie that comes with it.
    pub(crate) async fn open(&mut self, path: &str) {
        let answer = self.visit(path).await;
        self.keep_cookie(&answer);
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        if let Some(set) = answer.headers.get("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned());
        }
    }

    /// Opens a page.
    pub(crate) async fn visit(&self, path: &str) -> Answer {
        let request = self.with_cookie(request(Method::GET, path)).header("accept", "text/html");
        self.app.send(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a message in a new chat, keeps the cookie, and gives the answer: chat, turn, message.
    pub(crate) async fn start_turn(&mut self, text: &str) -> Value {
        let answer = self.call("start_turn", message(None, text)).await;
        self.keep_cookie(&answer);
        answer.ok()
    }

    fn with_cookie(&self, request: http::request::Builder) -> http::request::Builder {
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }
}

/// Arguments of `start_turn`.
pub(crate) fn message(chat: Option<&str>, text: &str) -> Value {
    json!({"request": {"chat_id": chat, "turn_id": turn_id(), "text": text, "model": null}})
}

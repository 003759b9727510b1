//! `GET /openapi.json`: what the API takes and gives, for programs.
//!
//! The tables below say which operations there are; a test compares them with the routes. The
//! schemas come from the types that requests are read into and answers are made of.

mod beside;
mod document;
mod drivers;
mod files;
mod operation;
mod product;
mod profile;
mod sessions;
mod shape;
mod surface;
#[cfg(test)]
mod tests;
mod webhooks;

use std::{
    future::ready,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Router,
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;

use super::App;

/// It changes with the version only, and whoever asks again learns that for nothing.
const KEPT: &str = "public, max-age=300";

pub(super) fn routes(base_url: &str) -> Router<Arc<App>> {
    let (base_url, made) = (base_url.to_owned(), Arc::new(OnceLock::new()));
    let show = move |headers: HeaderMap| {
        ready(made.get_or_init(|| Document::new(&base_url)).answer(&headers))
    };
    Router::new().route("/openapi.json", get(show))
}

/// The document as it is sent.
#[derive(Debug)]
struct Document {
    text: Bytes,
    tag: String,
}

impl Document {
    fn new(base_url: &str) -> Self {
        let text = document::document(base_url).to_string();
        let tag = format!("\"{}\"", hex::encode(digest(&SHA256, text.as_bytes())));
        Self { text: text.into(), tag }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let known = asked.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let is_known = known.is_some_and(|tags| tags.contains(&self.tag));
        let headers = [(CACHE_CONTROL, KEPT), (ETAG, self.tag.as_str())];
        if is_known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let kind = [(CONTENT_TYPE, "application/json")];
        (headers, kind, self.text.clone()).into_response()
    }
}

//! Pages: rendered by the app, with what its server functions need in their context.

use std::sync::PoisonError;

use any_spawner::Executor;
use app::First;
use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::Method;
use http::header::SET_COOKIE;
use http::request::Parts;
use leptos::prelude::*;
use leptos::reactive::computed::ScopedFuture;
use leptos_axum::{ResponseOptions, ResponseParts};

use crate::AppState;
use crate::middleware::PageNonce;

/// The pages' routes. What else has no route of its own is asked for as a file first.
pub(crate) fn router() -> Router<AppState> {
    // What a page spawns while it renders runs on tokio. A second router finds that settled.
    Executor::init_tokio().ok();
    Router::new().route("/", get(page)).route("/chat/{id}", get(page))
}

/// The page of any address: loaded, then rendered.
pub(crate) async fn page(State(state): State<AppState>, request: Request) -> Response {
    // With HEAD a program looks whether the page is there: nobody visits it.
    let visited = request.method() != Method::HEAD;
    let cookie = visited.then(|| state.context().visitor_cookie(request.headers())).flatten();
    let (parts, body) = request.into_parts();
    let (first, answer) = load(&state, &parts).await;
    let context = context(&state);
    let with_first = move || {
        context();
        provide_context(first.clone());
    };
    let render = leptos_axum::render_app_async_with_context(with_first, shell(&state));
    let mut response = render(Request::from_parts(parts, body)).await;
    if let Some(status) = answer.status {
        *response.status_mut() = status;
    }
    response.headers_mut().extend(answer.headers);
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// What the page comes with, and what that makes of the response.
async fn load(state: &AppState, parts: &Parts) -> (First, ResponseParts) {
    let answer = ResponseOptions::default();
    let first = Owner::new().with(|| {
        provide_context(parts.clone());
        provide_context(answer.clone());
        context(state)();
        let uri = parts.uri.clone();
        ScopedFuture::new(async move { First::load(uri.path(), uri.query().unwrap_or("")).await })
    });
    let first = first.await;
    let answer = answer.0.read().unwrap_or_else(PoisonError::into_inner).clone();
    (first, answer)
}

/// What pages and server functions find in their context, beside the parts of their request.
pub(crate) fn context(state: &AppState) -> impl Fn() + Clone + Send + Sync + 'static + use<> {
    let context = state.context().clone();
    move || {
        provide_context(context.clone());
        let nonce =
            use_context::<Parts>().and_then(|parts| parts.extensions.get::<PageNonce>().cloned());
        if let Some(PageNonce(nonce)) = nonce {
            provide_context(nonce);
        }
    }
}

fn shell(state: &AppState) -> impl Fn() -> AnyView + Clone + Send + Sync + 'static + use<> {
    let (options, part_url) = (LeptosOptions::from_ref(state), state.site().part_url());
    move || app::shell(options.clone(), part_url.clone())
}

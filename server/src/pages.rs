//! Pages: rendered by the app, with what its server functions need in their context.

use app::App;
use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Method, StatusCode};
use leptos::prelude::*;

use crate::AppState;
use crate::middleware::PageNonce;

/// A route for each page that the app knows.
pub(crate) fn router(state: &AppState) -> Router<AppState> {
    let (pages, _) = leptos_axum::generate_route_list_with_exclusions_and_ssg_and_context(
        App,
        None,
        context(state),
    );
    let render = leptos_axum::render_route_with_context::<AppState, _>(
        pages.clone(),
        context(state),
        shell(state),
    );
    pages.iter().fold(Router::new(), |router, page| {
        let render = render.clone();
        let handler = async move |State(state): State<AppState>, request: Request| {
            // With HEAD a program looks whether the page is there: nobody visits it.
            let visited = request.method() != Method::HEAD;
            let cookie =
                visited.then(|| state.context().visitor_cookie(request.headers())).flatten();
            let mut response = render(State(state), request).await;
            if let Some(cookie) = cookie {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        };
        router.route(page.path(), get(handler))
    })
}

/// The page that says there is no such page.
pub(crate) async fn not_found(state: &AppState, request: Request) -> Response {
    let render = leptos_axum::render_app_async_with_context(context(state), shell(state));
    let mut response = render(request).await;
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
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
    let options = LeptosOptions::from_ref(state);
    move || app::shell(options.clone()).into_any()
}

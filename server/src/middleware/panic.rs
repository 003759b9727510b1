//! A panic ends one request, not the server, and tells the outside nothing but the request's id.

use std::any::Any;

use app::error::AppError;
use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tower_http::catch_panic::ResponseForPanic;

use super::RequestId;

/// Answers a panicked request with a bare 500.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicked;

/// Marks the response of a request that panicked.
#[derive(Clone, Debug)]
struct PanicMessage(String);

impl ResponseForPanic for Panicked {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(
        &mut self,
        panic: Box<dyn Any + Send>,
    ) -> http::Response<Self::ResponseBody> {
        let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(message), _) => (*message).to_owned(),
            (None, Some(message)) => message.clone(),
            (None, None) => "no message".to_owned(),
        };
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(PanicMessage(message));
        response
    }
}

/// Logs a panic and words the answer: this knows the request's id, the layer above does not.
pub(crate) async fn panic_answer(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map_or("none", RequestId::as_str).to_owned();
    let response = next.run(request).await;
    let Some(PanicMessage(message)) = response.extensions().get() else { return response };
    tracing::error!(request.id = id, error = message, "a request panicked");
    let error = AppError::Internal { request_id: id };
    (StatusCode::INTERNAL_SERVER_ERROR, Json(error)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::{ServiceBuilder, ServiceExt};
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;
    use crate::middleware::request_id;

    #[tokio::test]
    async fn a_panic_is_told_as_an_id_and_nothing_else() {
        let routes =
            Router::new().route("/", get(async || -> () { panic!("password is hunter2") }));
        let guarded = routes.layer(
            ServiceBuilder::new()
                .layer(from_fn(request_id))
                .layer(from_fn(panic_answer))
                .layer(CatchPanicLayer::custom(Panicked)),
        );
        let response = guarded.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(body, format!("{{\"code\":\"internal\",\"request_id\":\"{id}\"}}"));
    }
}

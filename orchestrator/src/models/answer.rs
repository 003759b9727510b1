//! Refusals in the shape that a client of each format reads.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE},
};
use sandbox_sdk::types::WireFormat;
use serde_json::{Value, json};

/// A refusal that a client of the format understands. Without a format, in OpenAI's shape.
pub(super) fn refusal(
    format: Option<WireFormat>,
    status: StatusCode,
    message: &str,
) -> Response<Body> {
    let (anthropic, openai) = kinds(status);
    let body = match format {
        Some(WireFormat::Messages) => {
            json!({"type": "error", "error": {"type": anthropic, "message": message}})
        }
        _ => json!({
            "error": {"message": message, "type": openai, "param": Value::Null, "code": openai}
        }),
    };
    let mut response = json_response(&body);
    *response.status_mut() = status;
    response
}

pub(super) fn json_response(body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn kinds(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => ("authentication_error", "invalid_api_key"),
        StatusCode::PAYMENT_REQUIRED => ("billing_error", "insufficient_quota"),
        StatusCode::FORBIDDEN => ("permission_error", "permission_denied"),
        StatusCode::NOT_FOUND => ("not_found_error", "not_found"),
        StatusCode::PAYLOAD_TOO_LARGE => ("request_too_large", "request_too_large"),
        status if status.is_client_error() => ("invalid_request_error", "invalid_request_error"),
        _ => ("api_error", "server_error"),
    }
}

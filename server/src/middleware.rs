//! What happens around every request.

mod client;
mod headers;
mod host;
mod log;
mod panic;
mod request_id;
mod trace;

pub(crate) use client::client_address;
pub(crate) use headers::{ContentPolicy, PageNonce, security_headers};
pub(crate) use host::check_host;
pub(crate) use log::log_request;
pub(crate) use panic::{Panicked, panic_answer};
pub(crate) use request_id::{RequestId, request_id};
pub(crate) use trace::trace;

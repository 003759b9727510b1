//! The REST client against a service that behaves as each test needs.
#![allow(clippy::unwrap_used)]

mod failures;
mod requests;
mod retries;
mod runtime;
mod sandboxes;
mod service;

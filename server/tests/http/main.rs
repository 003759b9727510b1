//! The server over HTTP: the whole router, without a socket where none is needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]

mod access;
mod assets;
mod bodies;
mod forgery;
mod headers;
mod health;
mod hosts;
mod logs;
mod pages;
mod routes;
mod sessions;
mod sockets;
mod support;
#[cfg(feature = "embedded")]
mod turns;
mod webhook;

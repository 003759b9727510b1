//! The orchestrator as a product sees it: over HTTP and WebSocket, with real sandboxes.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it is all a test")]

mod batch;
mod commands;
mod create;
mod expiry;
mod gateway;
mod hostile_input;
mod interactions;
mod life;
mod models;
mod projects;
mod restart;
mod sandboxes;
mod sdk;
mod secrets;
mod support;
mod surface;
mod turns;
mod webhooks;
mod wire;

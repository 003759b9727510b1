//! The orchestrator as a product sees it: over HTTP and WebSocket, with real sandboxes.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it is all a test")]

mod batch;
mod commands;
mod create;
mod gateway;
mod hostile_input;
mod interactions;
mod life;
mod models;
mod restart;
mod sandboxes;
mod sdk;
mod support;
mod surface;
mod turns;
mod webhooks;
mod wire;

//! The orchestrator as a product sees it: over HTTP and WebSocket, with real sandboxes.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it is all a test")]

mod batch;
mod commands;
mod create;
mod exec;
mod expiry;
mod figures;
mod files;
mod gateway;
mod git;
mod hostile_files;
mod hostile_input;
mod hostile_programs;
mod interactions;
mod life;
mod metrics;
mod models;
mod network;
mod openapi;
mod ports;
mod processes;
mod projects;
mod rates;
mod restart;
mod rotation;
mod runs;
mod sandboxes;
mod sdk;
mod search;
mod secrets;
mod sessions;
mod snapshot_limits;
mod snapshots;
mod support;
mod surface;
mod terminals;
mod tokens;
mod tools;
mod traces;
mod transfers;
mod turns;
mod typescript_client;
mod webhooks;
mod wire;

//! The orchestrator as a product sees it: over HTTP and WebSocket, with real sandboxes.

mod gateway;
mod hostile_input;
mod restart;
mod sandboxes;
mod support;
mod turns;
mod webhooks;

//! Client of the session gateway, in the browser and natively.
//!
//! It shows one viewer the events of an agent session: each once, in order, whatever happens to the
//! connection. Behind [`SessionGatewayClient`] stands a [pure state machine](machine) that knows no
//! sockets and no clock; `web` and `native` are thin transports under it.
//!
//! ```no_run
//! use sandbox_sdk::gateway::{GatewayOptions, Handlers, SessionGatewayClient};
//!
//! # async fn example(url: &str, token: &str) {
//! let options = GatewayOptions::new(url, token, "session-1")
//!     .since(0)
//!     .token_refresh(|| async { Err("ask the product for another token".to_owned()) });
//! let handlers = Handlers::new()
//!     .on_agent_event(|channel, event, seq| println!("{channel} {seq} {}", event.kind))
//!     .on_state(|state| println!("{state:?}"));
//! let client = SessionGatewayClient::new(options, handlers);
//! client.connect();
//! # }
//! ```

mod client;
mod handlers;
pub mod machine;
mod options;
mod storage;

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod web;
#[cfg(not(target_arch = "wasm32"))]
use native as transport;
#[cfg(target_arch = "wasm32")]
use web as transport;

pub use client::SessionGatewayClient;
pub use handlers::Handlers;
pub use machine::{Backpressure, GatewayState, GatewayStats, Reset};
pub use options::{GatewayOptions, MaybeSend, RefreshedToken};
#[cfg(target_arch = "wasm32")]
pub use storage::LocalStorage;
pub use storage::{MemoryStorage, ReplayStorage};

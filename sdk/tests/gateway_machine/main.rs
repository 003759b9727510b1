//! How the gateway client behaves, without sockets and with a clock turned by hand.
#![allow(clippy::unwrap_used)]

mod coming_back;
mod connecting;
mod events;
mod liveness;
mod notices;
mod other_logs;
mod reloads;
#[path = "../support/rig.rs"]
mod rig;
mod support;
mod tokens;

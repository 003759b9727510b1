#![doc = include_str!("../README.md")]

pub mod config;
mod middleware;
mod origins;
mod pages;
mod proxies;
mod router;
mod routes;
pub mod serve;
pub mod start;
mod state;
pub mod telemetry;

pub use origins::{Origin, OriginError, Origins};
pub use proxies::{ProxyError, TrustedProxies};
pub use router::router;
pub use state::{AppState, Site, Web};

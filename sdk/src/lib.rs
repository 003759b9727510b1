#![doc = include_str!("../README.md")]

#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub mod auth;
#[cfg(any(feature = "client", feature = "gateway"))]
mod backoff;
#[cfg(all(feature = "client", not(target_arch = "wasm32")))]
pub mod client;
pub mod transcript;
pub mod types;

// Its first example needs the client.
#![cfg_attr(feature = "client", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "client"), doc = "The Rust SDK of the Tangle sandbox API.")]

#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub mod auth;
#[cfg(any(all(feature = "client", not(target_arch = "wasm32")), feature = "gateway"))]
mod backoff;
#[cfg(all(feature = "client", not(target_arch = "wasm32")))]
pub mod client;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod transcript;
pub mod types;

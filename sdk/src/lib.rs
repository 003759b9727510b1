#![doc = include_str!("../README.md")]

#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub mod auth;
pub mod transcript;
pub mod types;

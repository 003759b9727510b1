#![doc = include_str!("../README.md")]

pub mod agents;
mod api;
mod builtin;
mod clock;
mod config;
pub mod demo;
pub mod driver;
mod error;
mod exchange;
mod gateway;
mod interactions;
mod log;
mod models;
mod overview;
mod profile;
mod sandboxes;
mod sealed;
mod secrets;
mod serve;
pub mod sidecar;
mod start;
mod store;
mod toolchain;
mod tools;
mod tree;
mod turns;
mod vault;
mod webhook;

pub use config::{Config, Tuning};
pub use models::{LocalModels, ModelsConfig, check_model};
pub use overview::overview;
pub use secrets::{Secrets, SecretsError};
pub use start::{Orchestrator, StartError, Stats, start};
pub use store::StoreError;

#![doc = include_str!("../README.md")]

pub mod agents;
mod allowance;
mod api;
mod builtin;
mod clock;
mod config;
pub mod demo;
mod door;
pub mod driver;
mod error;
mod exchange;
#[cfg(test)]
mod figures;
mod flaw;
mod flow;
mod gateway;
mod interactions;
mod log;
mod memory_file;
mod metrics;
mod models;
#[cfg(test)]
mod mutants;
mod network;
mod overview;
mod ports;
mod profile;
mod sandboxes;
mod sealed;
mod secrets;
mod serve;
pub mod sidecar;
mod snapshots;
mod start;
mod store;
mod toolchain;
mod tools;
pub mod traces;
mod tree;
mod turns;
mod unread;
mod vault;
mod webhook;

pub use config::{Config, Tuning};
pub use models::{LocalModels, ModelsConfig, check_model};
pub use network::{DefaultNetwork, NetworkReach};
pub use overview::overview;
pub use secrets::{Secrets, SecretsError};
pub use snapshots::SnapshotsConfig;
pub use start::{Orchestrator, StartError, Stats, start};
pub use store::StoreError;

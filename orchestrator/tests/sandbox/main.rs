//! Real sandboxes on this machine: what they cannot do, what they may use up, and what works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod agents;
mod builtin;
mod demo;
mod files;
mod isolation;
mod lifecycle;
mod limits;
mod ordinary_user;
mod small_disk;
mod support;

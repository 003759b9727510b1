//! The server over real connections.

#![expect(clippy::unwrap_used, reason = "it is all a test")]

mod faults;
mod program;
mod recording;
mod streams;
mod support;
mod tools;
mod wholes;

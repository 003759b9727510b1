//! What the backend promises, shown on SQLite and on Postgres, against an orchestrator that is
//! scripted by the test and reached over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]

mod accounts;
mod chats;
mod deleting;
mod interactions;
mod limits;
mod options;
mod provisioning;
mod recovery;
mod room;
mod settling;
mod state_machine;
mod stopping;
mod storage;
mod support;
mod traces;
mod turns;
mod webhooks;

//! A server to ask, and answers to look at.

mod answer;
mod app;
mod person;
#[cfg(feature = "embedded")]
mod running;

pub(crate) use answer::Answer;
pub(crate) use app::{HOST, SIGNING_SECRET, TestApp, request};
pub(crate) use person::{Person, message};
#[cfg(feature = "embedded")]
pub(crate) use running::{Running, processes_of};

/// A fresh id for a turn.
pub(crate) fn turn_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

//! What travels survives: fields and event types of later versions too.
#![allow(clippy::unwrap_used)]

mod backends;
mod events;
mod interactions;
mod parts;
mod properties;
mod sandboxes;
mod support;

//! Routes beside the pages.

pub(crate) mod assets;
pub(crate) mod health;
pub(crate) mod server_functions;
pub(crate) mod webhook;

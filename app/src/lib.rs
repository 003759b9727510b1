//! Views and server functions of Skein, built twice: `ssr` for the server, `hydrate` for the browser.

pub mod api;
pub mod error;
pub mod model;

//! Server functions: each authenticates, makes one call into the backend, and converts the answer.
//!
//! Every one is a public route, `POST /api/<name>` with a JSON body of its arguments by name.
//! Addresses are fixed, so that a page from before an update keeps working after it.

pub mod chats;
pub mod credits;
pub mod options;
pub mod turns;

#[cfg(feature = "ssr")]
mod answers;
#[cfg(feature = "ssr")]
mod convert;
#[cfg(feature = "ssr")]
mod guests;
#[cfg(feature = "ssr")]
pub mod request;

pub use chats::{delete_chat, earlier_messages, list_chats, open_chat, rename_chat};
pub use credits::balance;
pub use options::list_options;
pub use turns::{
    answer_interaction, complete_turn, refresh_token, start_turn, stop_turn, turn_status,
};

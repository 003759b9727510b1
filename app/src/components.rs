//! The pieces of the page, one a file.

mod account;
mod agent_message;
mod ask;
mod ask_field;
mod chat_list;
mod chat_row;
mod composer;
mod confirm_delete;
mod earlier;
mod fold;
mod header;
mod icon;
mod log;
mod messages;
mod part;
mod person_message;
mod picker;
mod prose;
mod receipt;
mod rendered;
mod run;
mod sidebar;
mod step;
mod strip;
mod theme_button;
mod thought;
mod thread_view;

pub use composer::Composer;
pub use confirm_delete::ConfirmDelete;
pub use header::Header;
pub use icon::{Icon, Sign};
pub use log::Log;
pub use messages::Messages;
pub use part::part;
pub use sidebar::Sidebar;
pub use strip::Strip;

#[cfg(all(test, feature = "ssr"))]
mod tests;

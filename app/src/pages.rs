//! What an address shows.

mod failure;
mod missing;
mod start;
mod workspace;

pub use failure::Failure;
pub use missing::Missing;
pub use start::Start;
pub use workspace::Workspace;

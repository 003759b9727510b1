//! The sandbox of a chat.

use crate::words::stored_as_words;

stored_as_words! {
    /// Where a chat's sandbox stands.
    pub enum SandboxState {
        /// There is none.
        None = "none",
        /// Being made, or woken.
        Provisioning = "provisioning",
        /// Ready to work.
        Running = "running",
        /// Asleep; the next turn wakes it.
        Stopped = "stopped",
        /// It could not be made, or was lost; the next turn makes another.
        Failed = "failed",
    }
}

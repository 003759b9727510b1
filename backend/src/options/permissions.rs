//! How much an agent may do without asking.

use crate::words::stored_as_words;

stored_as_words! {
    /// What an agent may do without asking. The words are the orchestrator's names for it.
    #[derive(Default)]
    pub enum Permissions {
        /// Whatever the sandbox allows.
        #[default]
        Everything = "default",
        /// It asks before commands and edits.
        AskFirst = "careful",
        /// Neither commands nor edits.
        ReadOnly = "read-only",
    }
}

//! Searching the files of a sandbox.

use reqwest::Method;

use super::{Error, SandboxHandle, answer::decode};
use crate::types::{SearchFiles, SearchResults};

impl SandboxHandle {
    /// Lines of files that fit a regular expression. Links are not followed.
    ///
    /// # Errors
    /// 400 for an expression that is none, and for a folder outside of what the sandbox owns.
    pub async fn search(&self, search: &SearchFiles) -> Result<SearchResults, Error> {
        // A read under the verb of a write: it can be repeated.
        let call = self.call(Method::POST, "/search")?.json(search)?.repeatable(true);
        decode(&self.client.send(call).await?, "what was found")
    }
}

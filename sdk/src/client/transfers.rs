//! Whole files to and from a sandbox, as they are.

use bytes::Bytes;
use reqwest::Method;

use super::{Error, SandboxHandle, Streamed, answer::decode, folders::in_route};
use crate::types::FileWritten;

impl SandboxHandle {
    /// Writes a file's bytes, all of them or nothing, and the folders above it. Unlike
    /// [`write_bytes`](Self::write_bytes) this is for large files. The same again does no harm, so it
    /// is repeated on transient failures. Paths are absolute, or relative to the workspace.
    ///
    /// # Errors
    /// When the file could not be written, or it is unknown whether it was.
    pub async fn upload(
        &self,
        path: &str,
        content: impl Into<Bytes>,
    ) -> Result<FileWritten, Error> {
        let call = self.call(Method::PUT, &format!("/fs/upload{}", in_route(path)?))?;
        let call = call.bytes(content.into());
        decode(&self.client.send(call).await?, "a file that was written")
    }

    /// Reads a file's bytes as they come, of whatever size. A file that was cut off is an error, the
    /// last item of the stream.
    ///
    /// # Errors
    /// 404 when there is no such file, 400 when it is none.
    pub async fn download(&self, path: &str) -> Result<Streamed<Bytes>, Error> {
        let call = self.call(Method::GET, &format!("/fs/download{}", in_route(path)?))?;
        Ok(Streamed::of_bytes(self.client.open_as(call, "*/*").await?))
    }
}

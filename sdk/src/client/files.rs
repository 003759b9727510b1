//! Files of a sandbox, as text and as bytes.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;

use super::{Error, SandboxHandle, answer::decode};
use crate::types::{FileContent, ReadFile, WriteFile};

const BASE64: &str = "base64";

impl SandboxHandle {
    /// Reads a text file. Paths are absolute, or relative to the workspace.
    ///
    /// # Errors
    /// 404 when there is no such file; [`Error::Decode`] when it is not UTF-8.
    pub async fn read_text(&self, path: &str) -> Result<String, Error> {
        let file = self.read(path, None).await?;
        if file.encoding.as_deref() != Some(BASE64) {
            return Ok(file.content);
        }
        String::from_utf8(from_base64(&file.content)?)
            .map_err(|_| Error::Decode { context: "the file is not UTF-8 text", source: None })
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// 404 when there is no such file.
    pub async fn read_bytes(&self, path: &str) -> Result<Vec<u8>, Error> {
        let file = self.read(path, Some(BASE64)).await?;
        match file.encoding.as_deref() {
            Some(BASE64) => from_base64(&file.content),
            Some(_) => Ok(file.content.into_bytes()),
            // Some services do not say; most of them did as they were asked.
            None => Ok(from_base64(&file.content).unwrap_or_else(|_| file.content.into_bytes())),
        }
    }

    /// Writes a text file, and the folders above it. Never repeated.
    ///
    /// # Errors
    /// When the file could not be written, or it is unknown whether it was.
    pub async fn write_text(&self, path: &str, text: &str) -> Result<(), Error> {
        self.write(path, text.to_owned(), None).await
    }

    /// Writes a file's bytes, and the folders above it. Never repeated.
    ///
    /// # Errors
    /// When the file could not be written, or it is unknown whether it was.
    pub async fn write_bytes(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        self.write(path, STANDARD.encode(bytes), Some(BASE64)).await
    }

    async fn read(&self, path: &str, encoding: Option<&str>) -> Result<FileContent, Error> {
        let body = ReadFile { path: path.to_owned(), encoding: encoding.map(str::to_owned) };
        // A read under the verb of a write: it can be repeated.
        let call = self.call(Method::POST, "/files/read")?.json(&body)?.repeatable(true);
        decode(&self.client.send(call).await?, "a file")
    }

    async fn write(
        &self,
        path: &str,
        content: String,
        encoding: Option<&str>,
    ) -> Result<(), Error> {
        let encoding = encoding.map(str::to_owned);
        let body = WriteFile { path: path.to_owned(), content, encoding, mode: None };
        let call = self.call(Method::POST, "/files/write")?.json(&body)?;
        self.client.send(call).await.map(drop)
    }
}

fn from_base64(content: &str) -> Result<Vec<u8>, Error> {
    STANDARD
        .decode(content)
        .map_err(|_| Error::Decode { context: "the file's base64", source: None })
}

//! A bucket of a service that speaks the S3 protocol.
//!
//! Of the protocol only what snapshots need: objects are put in parts and appear at once when the
//! last one is there; they are read, removed and listed. Names stand in the path, which every such
//! service understands. What a service answers is bounded.

mod refusal;
mod sign;
mod xml;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use reqwest::{Client, Method, Response, StatusCode, Url};
use secrecy::SecretString;

pub(super) use self::refusal::Owner;
use self::{
    refusal::refusal,
    sign::{Signable, Signer, encode, sha256},
};
use super::SnapshotError;
use crate::clock::now_ms;

/// Of every part but the last. The protocol allows no smaller ones than 5 MiB, and 10,000 of them.
pub(super) const PART: usize = 8 << 20;
/// Of a part, or a question, from its first byte to its answer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longest answer that is not an object.
const MAX_ANSWER: usize = 4 << 20;
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// Longest mark of a part, or name of an upload.
const MAX_MARK: usize = 2048;

/// Where objects are, and what opens it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    http: Client,
    /// `https://host:port/path/bucket`, without a slash at its end.
    base: Url,
    signer: Arc<Signer>,
    owner: Owner,
}

/// An object on its way in.
#[derive(Debug)]
pub(super) struct Upload {
    bucket: Bucket,
    key: String,
    id: String,
    /// What the service calls the parts it has.
    marks: Vec<String>,
    buffer: BytesMut,
}

impl Bucket {
    /// `endpoint`: without query. `name`: of the bucket.
    pub(super) fn new(
        owner: Owner,
        http: Client,
        endpoint: &Url,
        name: &str,
        (key_id, secret): (String, SecretString),
        region: String,
    ) -> Self {
        let mut base = endpoint.clone();
        let path = format!("{}/{name}", endpoint.path().trim_end_matches('/'));
        base.set_path(&path);
        Self { http, base, signer: Arc::new(Signer::new(key_id, secret, region)), owner }
    }

    pub(super) async fn put(&self, key: &str, object: Bytes) -> Result<(), SnapshotError> {
        self.ask(Method::PUT, key, "", object).await.map(drop)
    }

    /// Begins an object that nobody sees before it is finished.
    pub(super) async fn begin(&self, key: &str) -> Result<Upload, SnapshotError> {
        let answer = self.ask(Method::POST, key, "uploads=", Bytes::new()).await?;
        let id = xml::texts(&text(answer, MAX_ANSWER).await?, "UploadId").next();
        let id = id.filter(|id| (1..=MAX_MARK).contains(&id.len()));
        let id = id.ok_or_else(|| nonsense("it named no upload"))?;
        let (bucket, key) = (self.clone(), key.to_owned());
        Ok(Upload { bucket, key, id, marks: Vec::new(), buffer: BytesMut::new() })
    }

    /// Takes back an upload that came to nothing. One that is not there is no error.
    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<(), SnapshotError> {
        let query = format!("uploadId={}", encode(upload, false));
        gone(self.ask(Method::DELETE, key, &query, Bytes::new()).await)
    }

    /// One that is not there is no error.
    pub(super) async fn remove(&self, key: &str) -> Result<(), SnapshotError> {
        gone(self.ask(Method::DELETE, key, "", Bytes::new()).await)
    }

    /// An object, as it comes. The caller counts.
    pub(super) async fn read(
        &self,
        key: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, SnapshotError>> + Send + use<>, SnapshotError>
    {
        let answer = self.ask(Method::GET, key, "", Bytes::new()).await?;
        Ok(answer.bytes_stream().map(|piece| piece.map_err(|error| failed(&error))))
    }

    /// A small object.
    pub(super) async fn read_text(&self, key: &str, most: usize) -> Result<String, SnapshotError> {
        let work = async {
            let answer = self.ask(Method::GET, key, "", Bytes::new()).await?;
            text(answer, most).await
        };
        let late = |_| nonsense("it did not answer in time");
        tokio::time::timeout(PATIENCE, work).await.map_err(late)?
    }

    /// Names of up to 1000 objects in the order of the alphabet, and what to go on from.
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), SnapshotError> {
        let prefix = encode(prefix, false);
        // In the order of the alphabet, as the signature wants it.
        let query = match after {
            Some(after) => {
                let after = encode(after, false);
                format!("continuation-token={after}&list-type=2&prefix={prefix}")
            }
            None => format!("list-type=2&prefix={prefix}"),
        };
        let answer = self.ask(Method::GET, "", &query, Bytes::new()).await?;
        let answer = text(answer, MAX_ANSWER).await?;
        let next = xml::texts(&answer, "NextContinuationToken").next();
        Ok((xml::texts(&answer, "Key").collect(), next))
    }

    /// Asks until there is an answer, a few times. A refusal is an error.
    async fn ask(
        &self,
        method: Method,
        key: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Response, SnapshotError> {
        let mut tries = 1;
        loop {
            let sent = self.send(method.clone(), key, query, body.clone()).await;
            let again = match &sent {
                Ok(answer) => {
                    let status = answer.status();
                    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
                }
                Err(_) => true,
            };
            if again && tries < TRIES {
                tokio::time::sleep(PAUSE * tries).await;
                tries += 1;
                continue;
            }
            let answer = sent.map_err(|error| failed(&error))?;
            if answer.status().is_success() {
                return Ok(answer);
            }
            return Err(refusal(self.owner, &method, key, answer).await);
        }
    }

    async fn send(
        &self,
        method: Method,
        key: &str,
        query: &str,
        body: Bytes,
    ) -> reqwest::Result<Response> {
        let mut url = self.base.clone();
        let base = self.base.path();
        let path = if key.is_empty() { base.to_owned() } else { format!("{base}/{key}") };
        let path = encode(&path, true);
        url.set_path(&path);
        url.set_query((!query.is_empty()).then_some(query));
        let host = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let digest = sha256(&body);
        let signable =
            Signable { method: method.as_str(), host: &host, path: &path, query, digest: &digest };
        let (time, authorization) = self.signer.sign(signable, now_ms());
        let is_object = method == Method::GET && query.is_empty();
        let mut request = self
            .http
            .request(method, url)
            .header("x-amz-date", time)
            .header("x-amz-content-sha256", digest)
            .header("authorization", authorization);
        if !is_object {
            // An object takes as long as it takes; the client ends one that comes to a halt.
            request = request.timeout(PATIENCE);
        }
        request.body(body).send().await
    }
}

impl Upload {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), SnapshotError> {
        self.buffer.extend_from_slice(piece);
        while self.buffer.len() >= PART {
            let part = self.buffer.split_to(PART).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    /// Makes the object appear, whole.
    pub(super) async fn finish(mut self) -> Result<(), SnapshotError> {
        let rest = self.buffer.split().freeze();
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        let parts: String = (1..)
            .zip(&self.marks)
            .map(|(number, mark): (usize, _)| {
                let mark = xml::escape(mark);
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{mark}</ETag></Part>")
            })
            .collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let query = format!("uploadId={}", encode(&self.id, false));
        // Asked once: the second answer to a question that was understood would be a refusal.
        let answer = self.bucket.send(Method::POST, &self.key, &query, body.into()).await;
        let answer = answer.map_err(|error| failed(&error))?;
        if !answer.status().is_success() {
            return Err(refusal(self.bucket.owner, &Method::POST, &self.key, answer).await);
        }
        // The protocol may begin to answer before it knows, and then say no.
        let answer = text(answer, MAX_ANSWER).await?;
        if answer.contains("<CompleteMultipartUploadResult") {
            return Ok(());
        }
        Err(nonsense("it did not put the parts together"))
    }

    async fn send(&mut self, part: Bytes) -> Result<(), SnapshotError> {
        let number = self.marks.len() + 1;
        let query = format!("partNumber={number}&uploadId={}", encode(&self.id, false));
        let answer = self.bucket.ask(Method::PUT, &self.key, &query, part).await?;
        let mark = answer.headers().get("etag").and_then(|mark| mark.to_str().ok());
        let mark = mark.filter(|mark| (1..=MAX_MARK).contains(&mark.len()));
        self.marks.push(mark.ok_or_else(|| nonsense("it named no part"))?.to_owned());
        Ok(())
    }
}

/// What is removed is gone, whoever did it.
fn gone(answer: Result<Response, SnapshotError>) -> Result<(), SnapshotError> {
    match answer {
        Ok(_) | Err(SnapshotError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn text(mut answer: Response, most: usize) -> Result<String, SnapshotError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| failed(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > most {
            return Err(nonsense("its answer is too long"));
        }
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| nonsense("its answer is no text"))
}

/// Without the address, which may be the caller's secret.
fn failed(error: &reqwest::Error) -> SnapshotError {
    let words = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it can't be connected to"
    } else {
        "the connection broke"
    };
    SnapshotError::Storage(words.to_owned())
}

fn nonsense(words: &str) -> SnapshotError {
    SnapshotError::Storage(words.to_owned())
}

//! One HTTP request over a connection of its own: how the parts of this program talk to each other
//! across a sandbox's wall, and to an agent inside.

use std::error::Error;

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Largest head of an answer, which may be a stranger's; nothing else is kept as a whole.
const MAX_HEAD: usize = 64 * 1024;

/// Sends the request. The connection ends with the response's body, or when that is dropped.
pub(crate) async fn send<S, B>(stream: S, request: Request<B>) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { tell(connection.await) });
    sender.send_request(request).await
}

/// The same for a request whose answer may be to switch protocols: the connection can then be taken
/// out of the response.
pub(crate) async fn upgrade<S, B>(
    stream: S,
    request: Request<B>,
) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { tell(connection.with_upgrades().await) });
    sender.send_request(request).await
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_answer_that_never_comes_to_its_body_is_given_up() {
        for (bytes, is_taken) in [(MAX_HEAD / 2, true), (MAX_HEAD * 2, false)] {
            let (ours, mut theirs) = tokio::io::duplex(MAX_HEAD * 3);
            let head = format!("HTTP/1.1 204 No Content\r\na: {}\r\n\r\n", "a".repeat(bytes));
            let answer = async {
                assert!(theirs.read(&mut [0; 1024]).await.unwrap() > 0);
                theirs.write_all(head.as_bytes()).await.unwrap();
            };
            let asked = send(ours, Request::new(Empty::<bytes::Bytes>::new()));
            let (answered, ()) = tokio::join!(asked, answer);
            assert_eq!(answered.is_ok(), is_taken, "{bytes}");
        }
    }
}

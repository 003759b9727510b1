//! Archives of a sandbox's files, in both directions.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, HOST, TE},
};
use http_body_util::{BodyExt, StreamBody};
use hyper::{Method, Request, body::Frame};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use super::{
    super::message::{DataEnvelope, LEFT_OUT, PackPaths, Unpacked},
    MAX_REFUSAL, PATIENCE, SidecarClient, SidecarError, collect, encode, request, unreachable,
    within,
};

/// What comes of an archive that is packed.
#[derive(Debug)]
pub(crate) enum Packed {
    Piece(Bytes),
    /// So many entries are not in it. It comes last, if at all.
    LeftOut(u64),
}

impl SidecarClient {
    /// Packs what is at these absolute paths inside the sandbox: a gzip tar whose names begin below
    /// `/`. A stream that ends without an error is whole. It has as many bytes as the sandbox likes.
    pub(crate) async fn pack(
        &self,
        paths: &[String],
    ) -> Result<impl Stream<Item = Result<Packed, SidecarError>> + Send + Unpin + use<>, SidecarError>
    {
        let body = encode(&PackPaths { paths: paths.to_vec() })?;
        let mut request = request(Method::POST, "/archive/pack", body)?;
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        let response = within(PATIENCE, self.send(request)).await?;
        let pieces = stream::try_unfold(response.into_body(), |mut body| async move {
            let late = |_| SidecarError::Unreachable("it took too long".into());
            while let Some(frame) = timeout(PATIENCE, body.frame()).await.map_err(late)? {
                match frame.map_err(unreachable)?.into_data() {
                    Ok(piece) => return Ok(Some((Packed::Piece(piece), body))),
                    Err(frame) => {
                        if let Some(count) = frame.trailers_ref().and_then(left_out) {
                            return Ok(Some((Packed::LeftOut(count), body)));
                        }
                    }
                }
            }
            Ok(None)
        });
        Ok(Box::pin(pieces))
    }

    /// Unpacks a gzip tar into a folder of the sandbox; `/` for names that `pack` made. With `clear`,
    /// what was there before goes once the new content is there as a whole. It takes as long as the
    /// archive does to come.
    pub(crate) async fn unpack<S>(
        &self,
        path: &str,
        clear: bool,
        archive: S,
    ) -> Result<Unpacked, SidecarError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let path = utf8_percent_encode(path, NON_ALPHANUMERIC);
        let frames = archive.map(|piece| piece.map(Frame::data));
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/archive/unpack?path={path}&clear={clear}"))
            .header(HOST, HeaderValue::from_static("sandbox"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/gzip"))
            .body(StreamBody::new(Box::pin(frames)))
            .map_err(|error| SidecarError::Nonsense(error.to_string()))?;
        let response = self.send(request).await?;
        let body = within(PATIENCE, collect(response.into_body(), MAX_REFUSAL)).await?;
        let answer: DataEnvelope<Unpacked> = serde_json::from_slice(&body)
            .map_err(|error| SidecarError::Nonsense(error.to_string()))?;
        Ok(answer.data)
    }
}

/// What a sandbox says that it left out, if that is a number.
fn left_out(trailers: &HeaderMap) -> Option<u64> {
    trailers.get(LEFT_OUT)?.to_str().ok()?.parse().ok()
}

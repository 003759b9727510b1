//! Archives for the orchestrator itself: none of this is offered to clients.

use std::path::{Path, PathBuf};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header::TRAILER},
    response::Response,
    routing::{post, put},
};
use http_body_util::BodyExt;
use serde::Deserialize;

use super::{
    super::{
        api::{Body as JsonBody, Problem, Services},
        files::{
            blocking, inward, is_on,
            place::{Found, resolve},
            saved,
        },
        message::{DataEnvelope, LEFT_OUT, PackPaths, Unpacked},
    },
    Links, packed, unpack,
};

pub(in super::super) fn routes() -> Router<Services> {
    Router::new().route("/archive/pack", post(pack)).merge(
        Router::new().route("/archive/unpack", put(put_archive)).layer(DefaultBodyLimit::disable()),
    )
}

async fn pack(
    State(services): State<Services>,
    body: JsonBody<PackPaths>,
) -> Result<Response, Problem> {
    let Json(request) = body?;
    let seat = services.files.seat()?;
    let opened = blocking(move || {
        let open = |path: &String| -> Result<_, Problem> {
            Ok(Found::at(&resolve(path)?)?.inside()?.file)
        };
        request.paths.iter().map(open).collect::<Result<Vec<_>, Problem>>()
    });
    let most = services.files.guard().whole_disk();
    let (body, skipped) = packed(opened.await?, PathBuf::from("/"), most, seat)?;
    let body = body.with_trailers(async move {
        let count = skipped.await.ok()?;
        Some(Ok(HeaderMap::from_iter([(LEFT_OUT, HeaderValue::from(count))])))
    });
    let mut answer = saved(Body::new(body), "application/gzip", "archive.tar.gz");
    answer.headers_mut().insert(TRAILER, HeaderValue::from_name(LEFT_OUT));
    Ok(answer)
}

#[derive(Debug, Deserialize)]
struct Target {
    path: String,
    clear: Option<String>,
}

async fn put_archive(
    State(services): State<Services>,
    query: Result<Query<Target>, QueryRejection>,
    body: Body,
) -> Result<Json<DataEnvelope<Unpacked>>, Problem> {
    let Query(into) = query?;
    let clear = is_on("clear", into.clear.as_deref())?;
    let target = match into.path.as_str() {
        "/" => Path::new("/").to_owned(),
        path => resolve(path)?,
    };
    let seat = services.files.seat()?;
    let guard = services.files.guard();
    let (feed, source) = inward();
    let work = blocking(move || {
        // It goes on when nobody waits for it any more.
        let _seat = seat;
        unpack(source, &target, clear, Links::AsTheyWere, &guard)
    });
    let (unpacked, ()) = tokio::join!(work, feed.all(body.into_data_stream()));
    Ok(Json(DataEnvelope { success: true, data: unpacked? }))
}

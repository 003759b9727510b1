//! Files and folders on their way out.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    ops::RangeInclusive,
};

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sandbox_sdk::types::ErrorCode;

use super::{
    super::{
        api::{Problem, Services},
        archive,
        aside::aside,
    },
    blocking, outward,
    place::{Found, resolve},
    routes::{InPath, in_route},
};

/// What a `Range` header asks for, of a file of some size.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(RangeInclusive<u64>),
    /// Nothing that is there.
    Beyond,
}

/// A file's bytes, or a part of them. They are never shown by a browser, only saved.
pub(super) async fn file(
    State(services): State<Services>,
    path: InPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = resolve(&in_route(path)?)?;
    let seat = services.files.seat()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut file, size) = blocking(move || Found::at(&path)?.open()).await?;
    let (status, start, length) = match wanted(headers.get(RANGE), size) {
        Wanted::All => (StatusCode::OK, 0, size),
        Wanted::Part(part) => {
            (StatusCode::PARTIAL_CONTENT, *part.start(), part.end() - part.start() + 1)
        }
        Wanted::Beyond => return Ok(beyond(size)),
    };
    let (mut writer, body) = outward();
    drop(aside(move || {
        let _seat = seat;
        let sent = file.seek(SeekFrom::Start(start)).and_then(|_| {
            let sent = io::copy(&mut file.take(length), &mut writer)?;
            writer.flush().map(|()| sent)
        });
        // Of a file that became shorter meanwhile the body breaks off.
        if sent.is_ok_and(|sent| sent == length)
            && let Ok(sink) = writer.into_inner()
        {
            sink.end();
        }
    })?);
    let mut answer = saved(body, "application/octet-stream", &name);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{size}", start + length - 1);
        headers.extend(HeaderValue::from_str(&range).map(|range| (CONTENT_RANGE, range)));
    }
    Ok(answer)
}

/// Says how long the file is, for who asks for more than there is.
fn beyond(size: u64) -> Response {
    let message = format!("the range begins beyond the file's end at {size} bytes");
    let mut refusal = Problem::new(ErrorCode::RangeNotSatisfiable, message).into_response();
    let range = HeaderValue::from_str(&format!("bytes */{size}"));
    refusal.headers_mut().extend(range.map(|range| (CONTENT_RANGE, range)));
    refusal
}

/// What is in a folder, as a gzip tar. Names in it begin below the folder.
pub(super) async fn folder(
    State(services): State<Services>,
    path: InPath,
) -> Result<Response, Problem> {
    let path = resolve(&in_route(path)?)?;
    let seat = services.files.seat()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let most = services.files.guard().whole_disk();
    let found = blocking(move || {
        let found = Found::at(&path)?;
        let base = found.real_path()?;
        if !found.is_folder() {
            return Err(Problem::invalid("the path is not a folder"));
        }
        Ok((found.file, base))
    });
    let (open, base) = found.await?;
    let (body, _) = archive::packed(vec![open], base, most, seat)?;
    Ok(saved(body, "application/gzip", &format!("{name}.tar.gz")))
}

/// An answer that a browser keeps as a file and never opens.
pub(in super::super) fn saved(body: Body, kind: &'static str, name: &str) -> Response {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let disposition = HeaderValue::from_str(&disposition(name));
    headers.extend(disposition.map(|disposition| (CONTENT_DISPOSITION, disposition)));
    answer
}

/// What stands for itself in a name.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The name in plain letters, and as it is for those who read the newer spelling.
fn disposition(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(name, &PLAIN);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

/// One range of bytes is served. What is not understood, or asks for more than one, gets it all, as
/// HTTP has it.
fn wanted(header: Option<&HeaderValue>, size: u64) -> Wanted {
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Wanted::All;
    };
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok());
    let (first, last) = match (number(from).flatten(), number(to).flatten()) {
        (Some(first), Some(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Some(first), None) if to.is_empty() => (first, size.saturating_sub(1)),
        (None, Some(last)) if from.is_empty() => {
            let first = if last == 0 { size } else { size.saturating_sub(last) };
            (first, size.saturating_sub(1))
        }
        _ => return Wanted::All,
    };
    if first >= size { Wanted::Beyond } else { Wanted::Part(first..=last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_what_is_there_is_served() {
        let part = |range: &str, size| wanted(Some(&HeaderValue::from_str(range).unwrap()), size);
        for (range, size, expected) in [
            ("bytes=0-4", 10, Wanted::Part(0..=4)),
            ("bytes=2-", 10, Wanted::Part(2..=9)),
            ("bytes=-3", 10, Wanted::Part(7..=9)),
            ("bytes=-30", 10, Wanted::Part(0..=9)),
            ("bytes=5-99999999999", 10, Wanted::Part(5..=9)),
            ("bytes=10-", 10, Wanted::Beyond),
            ("bytes=-0", 10, Wanted::Beyond),
            ("bytes=0-", 0, Wanted::Beyond),
            ("bytes=4-2", 10, Wanted::All),
            ("bytes=0-1,3-4", 10, Wanted::All),
            ("bytes=-", 10, Wanted::All),
            ("bytes=+1-2", 10, Wanted::All),
            ("bytes=99999999999999999999999-", 10, Wanted::All),
            ("lines=1-2", 10, Wanted::All),
        ] {
            assert_eq!(part(range, size), expected, "{range} of {size}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
    }

    #[test]
    fn a_name_can_not_break_out_of_its_header() {
        let text = disposition("a\"; x=\r\nSet-Cookie: b/ü.html");
        assert_eq!(
            text,
            "attachment; filename=\"a__ x___Set-Cookie_ b__.html\"; \
             filename*=UTF-8''a%22%3B%20x%3D%0D%0ASet-Cookie%3A%20b%2F%C3%BC.html"
        );
        assert!(HeaderValue::from_str(&text).is_ok());
    }
}

//! Files and folders on their way in.

use std::{fs::File, path::Path, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
};
use multer::Field;
use rustix::io::Errno;
use sandbox_sdk::types::FileMode;
use serde::Deserialize;

use super::{
    super::{
        api::{Problem, Services},
        archive::{self, Links},
        guard::Guard,
        message::{DataEnvelope, Unpacked, Written},
    },
    Feed, Source, blocking,
    draft::{Draft, Existing},
    enter, inward,
    multipart::Form,
    place::{Place, resolve},
    routes::{InPath, enveloped, in_route, is_on},
};

type Answer<T> = Result<Json<DataEnvelope<T>>, Problem>;

/// Where a file is kept whose path is not known yet.
const WAITING_ROOM: &str = "/workspace/.skein-upload";

#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    overwrite: Option<String>,
    permissions: Option<String>,
}

impl Options {
    fn existing(&self) -> Result<Existing, Problem> {
        let overwrites = match &self.overwrite {
            None => true,
            Some(value) => is_on("overwrite", Some(value))?,
        };
        Ok(if overwrites { Existing::Replace } else { Existing::Refuse })
    }

    fn mode(&self) -> Result<Option<FileMode>, Problem> {
        let wrong = || Problem::invalid("permissions must be octal, up to 0777");
        self.permissions.as_deref().map(|text| FileMode::parse(text).ok_or_else(wrong)).transpose()
    }
}

/// One file as the body.
pub(super) async fn raw(
    State(services): State<Services>,
    path: InPath,
    query: Result<Query<Options>, QueryRejection>,
    body: Body,
) -> Answer<Written> {
    let Query(options) = query?;
    let (existing, mode) = (options.existing()?, options.mode()?);
    let path = in_route(path)?;
    let seat = services.files.seat()?;
    let (feed, mut source) = inward();
    let (guard, target) = (services.files.guard(), resolve(&path)?);
    let written = blocking(move || {
        let _seat = seat;
        enter(&guard, &target)?;
        let mut draft = Draft::of(&target, mode, existing)?;
        draft.fill(&mut source, guard.largest_file(), &guard)?;
        draft.publish(existing)
    });
    let (written, ()) = tokio::join!(written, feed.all(body.into_data_stream()));
    enveloped(Written { path, size: written? })
}

/// A form with the fields `file` and `path`, in any order, and maybe `overwrite` and `permissions`.
pub(super) async fn form(
    State(services): State<Services>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Written> {
    let _seat = services.files.seat()?;
    let guard = services.files.guard();
    let mut form = Form::of(&headers, body).await?;
    let (mut path, mut options, mut file) = (None, Options::default(), None);
    while let Some(mut field) = form.next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" if file.is_none() => {
                let file_name = field.file_name().map(str::to_owned);
                file = Some((kept(&form, &mut field, Arc::clone(&guard)).await?, file_name));
            }
            "path" => path = Some(form.text(field).await?),
            "overwrite" => options.overwrite = Some(form.text(field).await?),
            "permissions" => options.permissions = Some(form.text(field).await?),
            // A second file, or nothing of ours: read past.
            _ => while form.piece(&mut field).await?.is_some() {},
        }
    }
    let missing = |what: &str| Problem::invalid(format!("the form has no field {what}"));
    let mut path = path.ok_or_else(|| missing("path"))?;
    let (draft, file_name) = file.ok_or_else(|| missing("file"))?;
    if path.ends_with('/') {
        path.push_str(&last_name(file_name.as_deref())?);
    }
    let (existing, mode) = (options.existing()?, options.mode()?);
    let target = resolve(&path)?;
    let size = blocking(move || publish(draft, &target, mode, existing, &guard)).await?;
    enveloped(Written { path, size })
}

/// A form with the fields `archive`, a gzip tar, and `path`, the folder that it goes into.
pub(super) async fn folder(
    State(services): State<Services>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Unpacked> {
    let seat = services.files.seat()?;
    let guard = services.files.guard();
    let mut form = Form::of(&headers, body).await?;
    let (mut path, mut archive) = (None, None);
    while let Some(mut field) = form.next().await? {
        match field.name() {
            Some("archive") if archive.is_none() => {
                archive = Some(kept(&form, &mut field, Arc::clone(&guard)).await?);
            }
            Some("path") => path = Some(form.text(field).await?),
            _ => while form.piece(&mut field).await?.is_some() {},
        }
    }
    let missing = |what: &str| Problem::invalid(format!("the form has no field {what}"));
    let path = path.ok_or_else(|| missing("path"))?;
    let mut archive = archive.ok_or_else(|| missing("archive"))?;
    let target = resolve(&path)?;
    let unpacked = blocking(move || {
        // It goes on when the client goes away.
        let _seat = seat;
        let content: &mut File = archive.content()?;
        archive::unpack(content, &target, false, Links::Inside, &guard)
    });
    enveloped(unpacked.await?)
}

/// Writes a field's content to the disk, under no name of its own yet.
async fn kept(
    form: &Form,
    field: &mut Field<'static>,
    guard: Arc<Guard>,
) -> Result<Draft, Problem> {
    let (feed, source) = inward();
    let keep = blocking(move || keep(source, &guard));
    let (kept, fed) = tokio::join!(keep, pour(form, field, feed));
    // What was wrong with the form comes first: without it the file just breaks off.
    fed?;
    kept
}

fn keep(mut source: Source, guard: &Guard) -> Result<Draft, Problem> {
    enter(guard, Path::new(WAITING_ROOM))?;
    let mut draft = Draft::begin(Place::of(Path::new(WAITING_ROOM), false)?)?;
    draft.fill(&mut source, guard.largest_file(), guard)?;
    Ok(draft)
}

async fn pour(form: &Form, field: &mut Field<'static>, feed: Feed) -> Result<(), Problem> {
    while let Some(piece) = form.piece(field).await? {
        // When the disk is full, or the file too large, that is told by who writes it. The rest is
        // read all the same: who still sends it reads no answer.
        feed.give(Ok(piece)).await;
    }
    feed.end().await;
    Ok(())
}

/// Moves a file that was kept to its place.
fn publish(
    mut draft: Draft,
    target: &Path,
    mode: Option<FileMode>,
    existing: Existing,
    guard: &Guard,
) -> Result<u64, Problem> {
    enter(guard, target)?;
    let mut placed = Draft::of(target, mode, existing)?;
    match draft.become_content_of(&mut placed) {
        Ok(()) => {}
        // On another disk: a copy then.
        Err(Errno::XDEV) => placed.fill(draft.content()?, guard.largest_file(), guard)?,
        Err(errno) => return Err(super::problem(target, &errno.into())),
    }
    placed.publish(existing)
}

/// The last part of a file's name as its sender has it.
fn last_name(name: Option<&str>) -> Result<String, Problem> {
    let last = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    match last {
        "" | "." | ".." => Err(Problem::invalid("path is a folder, and the file has no name")),
        last => Ok(last.to_owned()),
    }
}

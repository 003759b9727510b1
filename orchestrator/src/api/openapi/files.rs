//! Operations of a sandbox's files: reading and writing them, searching in them, their history.

use sandbox_sdk::types::{
    FileContent, FileWritten, FilesRead, FolderListing, FsEntry, ReadFile, ReadFiles, WriteFile,
};
use serde_json::json;

use super::{
    operation::{BYTES, FORM, GZIP, Operation, delete, get, post, put, tagged},
    shape::{
        Shape, always, data, done, fields, flag, list, maybe, object, of, or_null, text, warned,
        whole, word,
    },
};

pub(super) fn operations() -> impl Iterator<Item = Operation> {
    files().chain(git())
}

/// A switch in a query.
fn switch() -> Shape {
    word(["", "true", "1", "false", "0"])
}

fn files() -> impl Iterator<Item = Operation> {
    let removed = || data(fields([always("path", text())]));
    // The switch of the query may stand in a body as well.
    let recursive = || fields([maybe("recursive", or_null(flag()))]);
    let made = || data(fields([always("path", text()), maybe("warnings", list(text()))]));
    let unpacked = data(fields([always("files", whole()), always("bytes", whole())]));
    let bytes = || Shape::Plain(json!({"type": "string", "contentMediaType": BYTES}));
    let file = fields([
        always("path", text()),
        always("file", bytes()),
        maybe("overwrite", switch()),
        maybe("permissions", text()),
    ]);
    let archive = fields([always("path", text()), always("archive", bytes())]);
    let searched = fields([
        always("pattern", text()),
        maybe("glob", or_null(text())),
        maybe("cwd", or_null(text())),
        maybe("maxResults", or_null(whole())),
        maybe("ignoreCase", flag()),
        maybe("context", whole()),
    ]);
    let line = fields([
        always("path", text()),
        always("line", whole()),
        always("column", whole()),
        always("text", text()),
        maybe("before", list(text())),
        maybe("after", list(text())),
    ]);
    let found = fields([
        always("matches", list(line)),
        always("truncated", flag()),
        maybe("warnings", list(text())),
    ]);
    tagged(
        "Files",
        [
            post("/files/read", "Reads a file as text or base64.")
                .takes(of::<ReadFile>())
                .gives(200, data(of::<FileContent>())),
            post("/files/write", "Writes a file, all of it or nothing.")
                .takes(of::<WriteFile>())
                .gives(200, data(warned(of::<FileWritten>()))),
            post("/files/read-batch", "Reads several files at once.")
                .takes(of::<ReadFiles>())
                .gives(200, data(of::<FilesRead>())),
            post("/fs/upload", "Takes a file by a form.")
                .takes_media(FORM, Some(file))
                .gives(200, data(of::<FileWritten>())),
            put("/fs/upload/{*path}", "Takes a file as the body of the request.")
                .query("overwrite", switch())
                .query("permissions", text())
                .takes_media(BYTES, None)
                .gives(200, data(of::<FileWritten>())),
            get("/fs/download/{*path}", "Gives the bytes of a file, or a range of them.")
                .header("Range")
                .gives_media(200, BYTES)
                .gives_media(206, BYTES),
            post("/fs/upload-dir", "Takes a folder's content as a gzip tar.")
                .takes_media(FORM, Some(archive))
                .gives(200, unpacked),
            get("/fs/download-dir/{*path}", "Gives a folder's content as a gzip tar.")
                .gives_media(200, GZIP),
            get("/fs/list/{*path}", "Lists what is in a folder.")
                .query("all", switch())
                .gives(200, data(of::<FolderListing>())),
            get("/fs/stat/{*path}", "Tells what is known of a file.")
                .gives(200, data(of::<FsEntry>())),
            get("/fs/exists/{*path}", "Tells whether it is there.")
                .gives(200, data(fields([always("exists", flag())]))),
            post("/fs/mkdir/{*path}", "Makes a folder.")
                .query("recursive", switch())
                .may_take(recursive())
                .gives(200, made()),
            delete("/fs/{*path}", "Removes a file or folder.")
                .query("recursive", switch())
                .gives(200, removed()),
            delete("/fs{*rest}", "Removes what has no slash before its path.")
                .query("recursive", switch())
                .gives(200, removed()),
            get("/fs/{*path}", "Answers about a path without a slash before it.")
                .query("all", switch())
                .gives(200, object()),
            post("/fs/{*path}", "Makes a folder whose path has no slash before it.")
                .query("recursive", switch())
                .may_take(recursive())
                .gives(200, made()),
            post("/search", "Finds lines of files that fit a regular expression.")
                .takes(searched)
                .gives(200, found),
        ],
    )
}

fn git() -> impl Iterator<Item = Operation> {
    let commit = || {
        fields([
            always("sha", text()),
            always("shortSha", text()),
            always("message", text()),
            always("author", text()),
            always("email", text()),
            always("date", text()),
        ])
    };
    let status = fields([
        always("branch", text()),
        always("head", text()),
        always("isDirty", flag()),
        always("ahead", whole()),
        always("behind", whole()),
        always("staged", list(text())),
        always("modified", list(text())),
        always("untracked", list(text())),
        maybe("truncated", flag()),
    ]);
    let file = fields([
        always("path", text()),
        always("status", text()),
        always("additions", whole()),
        always("deletions", whole()),
    ]);
    let diff = fields([
        always("files", list(file)),
        always("additions", whole()),
        always("deletions", whole()),
        always("raw", text()),
        maybe("truncated", flag()),
    ]);
    let branch = fields([
        always("name", text()),
        always("current", flag()),
        maybe("upstream", text()),
        always("commit", text()),
    ]);
    let cwd = || maybe("cwd", or_null(text()));
    let checkout = [cwd(), always("ref", text()), maybe("create", flag())];
    tagged(
        "Git",
        [
            get("/git/status", "Tells the branch, and what has changed.")
                .query("cwd", text())
                .gives(200, status),
            get("/git/log", "Lists the last commits.")
                .query("cwd", text())
                .query("limit", whole())
                .gives(200, fields([always("commits", list(commit()))])),
            get("/git/diff", "Shows changes, counted and as a patch.")
                .query("cwd", text())
                .query("ref", text())
                .gives(200, diff),
            get("/git/branches", "Lists the branches.")
                .query("cwd", text())
                .gives(200, fields([always("branches", list(branch))])),
            post("/git/add", "Stages files.")
                .takes(fields([cwd(), always("paths", list(text()))]))
                .gives(200, warned(done())),
            post("/git/commit", "Commits what is staged.")
                .takes(fields([cwd(), maybe("message", text()), maybe("amend", flag())]))
                .gives(200, warned(commit())),
            post("/git/push", "Pushes to where its network reaches.")
                .may_take(fields([cwd(), maybe("force", flag())]))
                .gives(200, warned(done())),
            post("/git/pull", "Pulls from where its network reaches.")
                .may_take(fields([cwd(), maybe("rebase", flag())]))
                .gives(200, warned(done())),
            post("/git/checkout", "Goes to another branch, or to a new one.")
                .takes(fields(checkout))
                .gives(200, warned(done())),
        ],
    )
}

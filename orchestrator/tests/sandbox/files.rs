//! Files through the sidecar's API, honest and hostile.

use std::time::Duration;

use sandbox_sdk::types::{ReadFile, WriteFile};
use tokio::time::timeout;

use crate::support::{Sandbox, status};

#[tokio::test]
async fn what_is_written_is_read_back_and_seen_by_commands() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.write("notes/today.txt", "grüße\n").await.unwrap(), 8);
    assert_eq!(sandbox.read("notes/today.txt").await.unwrap(), "grüße\n");
    assert_eq!(sandbox.read("/workspace/notes/../notes/today.txt").await.unwrap(), "grüße\n");
    assert_eq!(sandbox.output("cat notes/today.txt").await, "grüße");
    sandbox.write("notes/today.txt", "short").await.unwrap();
    assert_eq!(sandbox.output("cat notes/today.txt").await, "short");
}

#[tokio::test]
async fn binary_files_travel_as_base64() {
    let sandbox = Sandbox::start().await;
    let base64 = Some("base64".to_owned());
    let (path, content) = ("x.bin".into(), "AP/+gA==".into());
    let write = WriteFile { path, content, encoding: base64.clone(), mode: None };
    assert_eq!(sandbox.running.sidecar().write(&write).await.unwrap(), 4);
    let read = ReadFile { path: "x.bin".into(), encoding: base64 };
    let content = sandbox.running.sidecar().read(&read).await.unwrap();
    assert_eq!((content.content.as_str(), content.encoding.as_str()), ("AP/+gA==", "base64"));
    assert_eq!(status(sandbox.read("x.bin").await), 400, "not text");

    let bad = WriteFile { content: "!".into(), ..write.clone() };
    assert_eq!(status(sandbox.running.sidecar().write(&bad).await), 400);
    let bad = WriteFile { encoding: Some("rot13".into()), ..write };
    assert_eq!(status(sandbox.running.sidecar().write(&bad).await), 400);
}

#[tokio::test]
async fn paths_that_lead_out_are_refused_and_write_nothing() {
    let sandbox = Sandbox::start().await;
    for path in [
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "/usr/x",
        "/proc/self/environ",
        "/dev/zero",
        "/opt/skein/config.json",
        "a/../../../x",
        "/",
    ] {
        assert_eq!(status(sandbox.read(path).await), 403, "{path}");
        assert_eq!(status(sandbox.write(path, "x").await), 403, "{path}");
    }
    for path in ["", "a\0b"] {
        assert_eq!(status(sandbox.read(path).await), 400, "{path:?}");
        assert_eq!(status(sandbox.write(path, "x").await), 400, "{path:?}");
    }
    assert_eq!(status(sandbox.read(&"x".repeat(300)).await), 400, "a name that is too long");
    assert_eq!(
        status(sandbox.write(&"x/".repeat(5_000), "x").await),
        400,
        "a path that is too long"
    );
    // Names that only look dangerous are names.
    for path in ["%2e%2e%2fx", "..\\x", "x.", "CON", "a\"><img>"] {
        assert_eq!(sandbox.write(path, "x").await.unwrap(), 1, "{path}");
        assert_eq!(sandbox.read(path).await.unwrap(), "x", "{path}");
    }
}

#[tokio::test]
async fn missing_files_and_folders_are_told_apart() {
    let sandbox = Sandbox::start().await;
    sandbox.output("mkdir folder && touch file").await;
    assert_eq!(status(sandbox.read("nothing").await), 404);
    assert_eq!(status(sandbox.read("folder").await), 400);
    assert_eq!(status(sandbox.write("folder", "x").await), 400);
    assert_eq!(status(sandbox.read("file/below").await), 400);
    assert_eq!(status(sandbox.write("file/below", "x").await), 400);
}

#[tokio::test]
async fn links_are_followed_inside_and_refused_outside() {
    let sandbox = Sandbox::start().await;
    sandbox
        .output(
            "echo inside > target && ln -s target good && ln -s /etc/passwd bad && ln -s loop loop \
             && ln -s /proc/self/environ environ && ln -s /etc folder && ln -s /dev/zero zero \
             && ln -s ../usr/bin/env relative",
        )
        .await;
    assert_eq!(sandbox.read("good").await.unwrap(), "inside\n");
    for path in ["bad", "environ", "folder/passwd", "relative"] {
        assert_eq!(status(sandbox.read(path).await), 403, "{path}");
        let refused = status(sandbox.write(path, "x").await);
        assert!(refused == 403 || refused == 400, "{path}: {refused}");
    }
    assert_eq!(status(sandbox.read("loop").await), 400);
    assert_eq!(status(sandbox.read("zero").await), 400);
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_at_once() {
    let sandbox = Sandbox::start().await;
    sandbox.output("mkfifo fifo && perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"socket\", Listen => 1) or die'").await;
    for path in ["fifo", "socket"] {
        let patience = Duration::from_secs(5);
        let read = timeout(patience, sandbox.read(path)).await.expect("does not hang");
        assert_eq!(status(read), 400, "{path}");
        let write = timeout(patience, sandbox.write(path, "x")).await.expect("does not hang");
        assert_eq!(status(write), 400, "{path}");
    }
    // A FIFO that somebody reads opens, and is refused all the same.
    sandbox.output("(cat fifo > got; true) > /dev/null 2>&1 &").await;
    assert_eq!(status(sandbox.write("fifo", "x").await), 400);
}

#[tokio::test]
async fn files_that_are_too_large_are_refused() {
    let sandbox = Sandbox::start().await;
    sandbox.output("truncate -s 200M sparse").await;
    assert_eq!(status(sandbox.read("sparse").await), 413);
    assert_eq!(status(sandbox.write("big", &"x".repeat(11 << 20)).await), 413);
    assert_eq!(status(sandbox.write("huge", &"x".repeat(30 << 20)).await), 413);
    let largest = "x".repeat(10 << 20);
    assert_eq!(sandbox.write("largest", &largest).await.unwrap(), 10 << 20);
    assert_eq!(sandbox.read("largest").await.unwrap(), largest);
}

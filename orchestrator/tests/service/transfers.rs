//! Uploads and downloads, whole, in part and broken off.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use reqwest::{Body, Method};
use serde_json::json;

use crate::support::{Product, eventually};

fn form(path: &str, field: &str, content: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"f\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    let path = format!(
        "\r\n--edge\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n{path}\r\n--edge--\r\n"
    );
    body.extend_from_slice(path.as_bytes());
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_back_as_they_went_also_from_clients_that_call_a_form_json() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| i.wrapping_mul(i).to_le_bytes()[1]).collect();
    for (kind, path) in [
        ("application/json", "/workspace/one.html"),
        ("multipart/form-data; boundary=edge", "/home/agent/two.html"),
    ] {
        let request = product.request(Method::POST, &fs("upload")).header("content-type", kind);
        let answer = product.send(request.body(form(path, "file", &content))).await.expect(200);
        assert_eq!(answer["data"], json!({"path": path, "size": content.len()}));
        let answer = product.request(Method::GET, &fs(&format!("download{path}")));
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let disposition = answer.headers()["content-disposition"].to_str().unwrap();
        assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
        assert_eq!(answer.content_length(), Some(content.len() as u64));
        assert!(answer.bytes().await.unwrap() == content[..]);
        let part = product.request(Method::GET, &fs(&format!("download{path}")));
        let part = part.header("range", "bytes=5-9").send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], format!("bytes 5-9/{}", content.len()));
        assert_eq!(part.bytes().await.unwrap(), content[5..=9]);
    }
    let keep = product.request(Method::PUT, &fs("upload/workspace/one.html?overwrite=false"));
    product.send(keep.body("x")).await.refused(409, "INVALID_STATE");
    let left = product.exec(&id, "ls -A . /home/agent | grep skein-part").await;
    assert_eq!(left["stdout"], "");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_upload_leaves_nothing_and_frees_its_seat() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    product.exec(&id, "printf old > kept").await;
    // More than there are seats.
    for _ in 0..6 {
        let pieces = [Ok("new"), Err(std::io::Error::other("the client is gone"))];
        let body = Body::wrap_stream(futures::stream::iter(pieces));
        let request = product.request(Method::PUT, &fs("upload/workspace/kept")).body(body);
        request.send().await.unwrap_err();
        eventually("it is gone", async || {
            let left = product.exec(&id, "ls -A; cat kept").await;
            (left["stdout"] == "kept\nold").then_some(())
        })
        .await;
    }
    eventually("there is a seat", async || {
        let request = product.request(Method::PUT, &fs("upload/workspace/kept")).body("new");
        (product.send(request).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(product.exec(&id, "cat kept").await["stdout"], "new");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_configured_is_refused_with_the_limit() {
    let product = Product::start_with(|config| config.max_transfer_mb = 1).await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/runtime/fs/upload/workspace/large");
    let most = 1 << 20;
    for size in [most + 1, 3 * most] {
        let request = product.request(Method::PUT, &path).body(vec![b'x'; size]);
        let refused = product.send(request).await.refused(413, "PAYLOAD_TOO_LARGE");
        assert_eq!(refused["limit"], json!(most));
    }
    assert_eq!(product.exec(&id, "ls -A").await["stdout"], "");
    let fitting = product.request(Method::PUT, &path).body(vec![b'x'; most]);
    product.send(fitting).await.expect(200);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_may_come_out_is_refused_in_words_or_breaks_off() {
    let product = Product::start_with(|config| config.max_transfer_mb = 1).await;
    let id = product.sandbox().await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    // Of the kind that packing makes no smaller.
    product.exec(&id, "mkdir a && head -c 1200000 /dev/urandom > a/large").await;
    for path in ["download/workspace/a/large", "downloada/large"] {
        let refused = product.get(&fs(path)).await.refused(413, "PAYLOAD_TOO_LARGE");
        assert_eq!(refused["limit"], json!(1 << 20));
        assert!(refused["message"].as_str().unwrap().contains("SKEIN_MAX_TRANSFER_MB"));
    }
    let part = product.request(Method::GET, &fs("download/workspace/a/large"));
    let part = part.header("range", "bytes=1100000-").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap().len(), 100_000);
    // How large an archive becomes is not known before.
    let archive = product.request(Method::GET, &fs("download-dir/workspace/a")).send().await;
    archive.unwrap().bytes().await.unwrap_err();
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_travel_as_archives_in_both_directions() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    product
        .exec(&id, "mkdir -p a/b; printf 1 > a/b/x; chmod 750 a/b/x; ln -s b/x a/l; mkfifo a/p")
        .await;
    let answer = product.request(Method::GET, &fs("download-dir/workspace/a")).send().await;
    let answer = answer.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/gzip");
    let packed = answer.bytes().await.unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap())
        .collect();
    // What tells of the FIFO has a member behind it, without which some programs read no archive.
    assert_eq!(names.last().map(String::as_str), Some("./"));
    names.sort();
    assert_eq!(names, ["./", "b/", "b/x", "l"]);
    let words = b"1 entries were left out";
    assert!(bytes.windows(words.len()).any(|text| text == words));
    let request = product.request(Method::POST, &fs("upload-dir"));
    let body = form("/workspace/copy", "archive", &packed);
    let answer = product.send(request.body(body)).await.expect(200);
    assert_eq!(answer["data"], json!({"files": 1, "bytes": 1}));
    let seen = product.exec(&id, "cd copy; cat l; stat -c %a b/x; readlink l; ls -A").await;
    assert_eq!(seen["stdout"], "1750\nb/x\nb\nl\n");
    let half = &packed[..packed.len() / 2];
    let request = product.request(Method::POST, &fs("upload-dir"));
    let answer = product.send(request.body(form("/workspace/half", "archive", half))).await;
    answer.refused(400, "VALIDATION_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_breaks_out_is_refused() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/runtime/fs/upload-dir");
    type Build = fn(&mut tar::Builder<GzEncoder<Vec<u8>>>);
    let cases: [(&str, Build); 7] = [
        ("..", |tar| member(tar, b"../out", tar::EntryType::Regular, b"")),
        ("absolute", |tar| member(tar, b"/tmp/out", tar::EntryType::Regular, b"")),
        ("link out", |tar| member(tar, b"l", tar::EntryType::Symlink, b"/dev/shm")),
        ("link out over another one", |tar| {
            member(tar, b"a", tar::EntryType::Symlink, b"/tmp");
            member(tar, b"l", tar::EntryType::Symlink, b"a/../dev/shm");
        }),
        ("through a link", |tar| {
            member(tar, b"l", tar::EntryType::Symlink, b"/tmp");
            member(tar, b"l/out", tar::EntryType::Regular, b"");
        }),
        ("hard link", |tar| member(tar, b"h", tar::EntryType::Link, b"../../etc/passwd")),
        ("device", |tar| member(tar, b"d", tar::EntryType::Char, b"")),
    ];
    for (case, build) in cases {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        build(&mut tar);
        let packed = tar.into_inner().unwrap().finish().unwrap();
        let body = form("/workspace/in", "archive", &packed);
        let answer = product.send(product.request(Method::POST, &path).body(body)).await;
        assert_eq!(answer.status, 400, "{case}: {}", answer.body);
    }
    let out = product.exec(&id, "ls -A /tmp/out /workspace/out /dev/shm/out 2>/dev/null").await;
    assert_eq!(out["stdout"], "");
    product.stop().await;
}

/// A sandbox with hardly any disk.
async fn small(product: &Product) -> String {
    let small = json!({"resources": {"storageMb": 16}});
    let made = product.post("/v1/sandboxes", small).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    product.sandbox_is(&id, "running").await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_archive_that_holds_much_does_not_fill_the_disk() {
    let product = Product::start().await;
    let id = small(&product).await;
    let path = format!("/v1/sandboxes/{id}/runtime/fs/upload-dir");
    let content = vec![0; 8 << 20];
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for name in ["a", "b", "c"] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, &content[..]).unwrap();
    }
    let packed = tar.into_inner().unwrap().finish().unwrap();
    assert!(packed.len() < 1 << 20);
    let body = form("/workspace/in", "archive", &packed);
    let answer = product.send(product.request(Method::POST, &path).body(body)).await;
    answer.refused(413, "PAYLOAD_TOO_LARGE");
    let left = product.exec(&id, "find . -name '.skein*'; du -sm . | cut -f1").await;
    let used: u64 = left["stdout"].as_str().unwrap().trim().parse().unwrap();
    assert!(used <= 17, "{used}");

    // What comes to nothing has to be unpacked all the same.
    let mut header = tar::Header::new_gnu();
    header.set_path("folder").unwrap();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(100 << 30);
    header.set_cksum();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(header.as_bytes()).unwrap();
    let body = form("/workspace/in", "archive", &packed.finish().unwrap());
    let answer = product.send(product.request(Method::POST, &path).body(body)).await;
    answer.refused(413, "PAYLOAD_TOO_LARGE");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_a_full_disk_is_refused_until_there_is_room() {
    let product = Product::start().await;
    let id = small(&product).await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    let put = |name: &str| {
        let request = product.request(Method::PUT, &fs(&format!("upload/workspace/{name}")));
        product.send(request.body(vec![b'x'; 12 << 20]))
    };
    put("a").await.expect(200);
    put("b").await.refused(413, "PAYLOAD_TOO_LARGE");
    let request = product.request(Method::POST, &fs("upload"));
    let body = form("/workspace/c", "file", &vec![b'x'; 12 << 20]);
    product.send(request.body(body)).await.refused(413, "PAYLOAD_TOO_LARGE");
    eventually("nothing of them is left", async || {
        (product.exec(&id, "ls -A").await["stdout"] == "a\n").then_some(())
    })
    .await;
    product.delete(&fs("workspace/a")).await.expect(200);
    put("b").await.expect(200);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_sandbox_left_half_is_in_no_archive_and_goes_with_the_next_start() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.exec(&id, "mkdir .skein-part-0; touch .skein-part-0/a ~/.skein-part-1 b").await;
    let path = format!("/v1/sandboxes/{id}/runtime/fs/download-dir/workspace");
    let packed = product.request(Method::GET, &path).send().await.unwrap().bytes().await.unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(&packed[..]));
    let names: Vec<Vec<u8>> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned()).collect();
    assert_eq!(names, [b"b"]);
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    eventually("it is gone", async || {
        let left = product.exec(&id, "ls -A . | grep -v ^b$; ls -A ~ | grep skein-part").await;
        (left["stdout"] == "").then_some(())
    })
    .await;
    product.stop().await;
}

/// A member with a name that no honest builder would write.
fn member(
    tar: &mut tar::Builder<GzEncoder<Vec<u8>>>,
    name: &[u8],
    kind: tar::EntryType,
    target: &[u8],
) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(0);
    if !target.is_empty() {
        header.set_link_name_literal(target).unwrap();
    }
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
}

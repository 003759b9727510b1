//! Viewers that break the rules of WebSockets, and one that knows nothing of channels.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{ORIGIN, PATIENCE, Product, USER, Viewer};

/// A client's frame, masked with nothing. `head` is its first byte.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut frame = vec![head];
    match u8::try_from(length) {
        Ok(short @ ..126) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Connects by hand, says this, and reads to the end. Gives the close code, if it came through.
async fn said(product: &Product, bytes: &[u8]) -> Option<u16> {
    let address = product.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let token = URL_SAFE_NO_PAD.encode(product.token(USER, "s1"));
    let request = format!(
        "GET /session HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {ORIGIN}\r\n\
         Sec-WebSocket-Protocol: tangle.session.v1, bearer.{token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "no answer to the upgrade");
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    // The gateway may have gone before all of it was written.
    stream.write_all(bytes).await.ok();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset is an end as well.
    drop(read.expect("the connection stayed open"));
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    close_code(&answer[end..])
}

/// The code of the close frame among a server's frames.
fn close_code(mut frames: &[u8]) -> Option<u16> {
    while let [head, length, rest @ ..] = frames {
        let (length, rest) = match (length, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, _) => panic!("no frame of the gateway is that long"),
            (length, rest) => (usize::from(*length), rest),
        };
        if head & 0x0f == 8 {
            return Some(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        }
        frames = rest.get(length..)?;
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_the_rules_of_sockets_is_closed_and_harms_nobody() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let mut other = product.viewer("s1", 0).await;
    for (what, bytes, code) in [
        ("a frame that is not masked", vec![0x81, 2, b'{', b'}'], 4400),
        ("reserved bits", frame(0xf1, b"{}"), 4400),
        ("a kind that is none", frame(0x83, b"{}"), 4400),
        ("text that is no text", frame(0x81, b"\xff\xfe\xfd"), 4400),
        ("a ping that is too long", frame(0x89, &[b'x'; 126]), 4400),
        ("a ping in pieces", frame(0x09, b"x"), 4400),
        ("the rest of nothing", frame(0x80, b"x"), 4400),
        ("a message in pieces without an end", endless(), 4413),
    ] {
        let told = said(&product, &bytes).await;
        // The end of the connection may have overtaken the words.
        assert!(told.is_none_or(|told| told == code), "{what}: {told:?}");
    }
    product.dispatch(&id, "s1", "t1", "run: echo well").await.expect(202);
    let seen = other.until("done").await;
    assert_eq!(seen.first().map(|event| event.seq), Some(1));
    product.stop().await;
}

/// Pieces of one message that together are longer than one may be.
fn endless() -> Vec<u8> {
    let mut bytes = frame(0x01, &[b'x'; 1000]);
    (0..80).for_each(|_| bytes.extend(frame(0x00, &[b'x'; 1000])));
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_chooses_the_shape_of_its_events() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    product.dispatch(&id, "s1", "t1", "run: echo well").await.expect(202);
    product.record(&id, "s1", "t1").await;
    let log = product.log(&id, "s1").await;
    let base = product.base.replacen("http", "ws", 1);
    let (flat, alias) = ("format=flat", "alias=1");
    for shape in [flat, alias] {
        let url = format!("{base}/session?since=0&{shape}");
        let mut viewer = Viewer::open(&url, &product.token(USER, "s1")).await;
        let established = viewer.next().await.unwrap();
        assert_eq!(established["type"], "connection.established", "control frames stay the same");
        assert_eq!(viewer.next().await.unwrap()["type"], "replay.start");
        for (seq, kind, data) in &log {
            let event = viewer.next().await.unwrap();
            assert_eq!((&event["seq"], &event["channel"]), (&json!(seq), &json!("session:s1")));
            assert!(event["timestamp"].is_i64(), "{event}");
            if shape == flat {
                assert_eq!((&event["type"], &event["data"]), (&json!(kind), data));
            } else {
                let expected = json!({"type": kind, "data": data, "properties": data});
                assert_eq!(event["data"], expected);
            }
        }
        assert_eq!(viewer.next().await.unwrap()["type"], "replay.complete");
    }
    product.stop().await;
}

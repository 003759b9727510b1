//! A terminal over a WebSocket: bytes in binary messages both ways, all else as JSON in text.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        Path, Query, State,
        rejection::QueryRejection,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use sandbox_sdk::types::{OpenTerminal, close_code};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use super::{
    super::{
        api::{Problem, Services},
        signal,
    },
    MAX_NAME, size_of,
    terminal::{DETACH_TIMEOUT, Shown, Terminal, Viewer},
};

/// Largest message of a viewer.
const MAX_MESSAGE: usize = 64 << 10;
const READ_BUFFER: usize = 4 << 10;
/// A viewer that takes nothing for so long has to go.
const STALL: Duration = Duration::from_secs(5);
const FAREWELL: Duration = Duration::from_secs(1);
/// Answers to a viewer's messages that wait; more are dropped.
const WAITING_ANSWERS: usize = 8;

/// What a terminal is opened with that is not there yet, and the size of one that is.
#[derive(Debug, Deserialize)]
pub(super) struct Wishes {
    cols: Option<u16>,
    rows: Option<u16>,
    cwd: Option<String>,
    command: Option<String>,
}

/// What a viewer says in text.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Said {
    Resize { cols: u16, rows: u16 },
    Input { data: String },
    Ping,
    Pong,
}

/// `GET /terminals/{id}/ws`
pub(super) async fn attach(
    State(services): State<Services>,
    Path(connection): Path<String>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if connection.len() > MAX_NAME || !connection.bytes().all(named) {
        return Err(Problem::invalid("the connection's id is not valid"));
    }
    let Query(wishes) = wishes?;
    let size = wishes.cols.zip(wishes.rows);
    let wanted = OpenTerminal {
        cols: wishes.cols,
        rows: wishes.rows,
        cwd: wishes.cwd,
        command: wishes.command,
        ..OpenTerminal::default()
    };
    let size = size.map(|(cols, rows)| size_of(cols, rows)).transpose()?;
    let (terminal, restored) = services.terminals.attach(&connection, wanted).await?;
    let viewer = Viewer::new(Arc::clone(&terminal), true)?;
    if let Some(size) = size.filter(|_| restored && terminal.is_running()) {
        terminal.resize(size)?;
    }
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, viewer, connection, restored)))
}

/// Serves a viewer until either side ends it.
async fn serve(socket: WebSocket, viewer: Viewer, connection: String, restored: bool) {
    let terminal = Arc::clone(&viewer.terminal);
    let info = terminal.info();
    let ready = json!({
        "type": "ready",
        "connectionId": connection,
        "sessionId": info.session_id,
        "restored": restored,
        "detachTimeoutMs": u64::try_from(DETACH_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        "cols": info.cols,
        "rows": info.rows,
    });
    let (mut sink, reader) = socket.split();
    let (answer, answers) = mpsc::channel(WAITING_ANSWERS);
    answer.try_send(ready).ok();
    let (code, reason) = tokio::select! {
        ending = show(&mut sink, viewer, answers) => ending,
        () = listen(reader, &terminal, answer) => (close_code::DONE, ""),
    };
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    // Whether it arrives is the viewer's matter.
    timeout(FAREWELL, sink.send(close)).await.ok();
}

type Ending = (u16, &'static str);
const SLOW: Ending = (close_code::SLOW, "too slow");
const DONE: Ending = (close_code::DONE, "the terminal has ended");
const GONE: Ending = (close_code::DONE, "");

async fn show(
    sink: &mut SplitSink<WebSocket, Message>,
    mut viewer: Viewer,
    mut answers: mpsc::Receiver<Value>,
) -> Ending {
    loop {
        // Answers first: `ready` comes before all output.
        let message = tokio::select! {
            biased;
            Some(answer) = answers.recv() => Message::text(answer.to_string()),
            shown = viewer.next() => match shown {
                Some(Shown::Output(bytes)) => Message::Binary(bytes),
                Some(Shown::Lost) => return SLOW,
                Some(Shown::Exit(code)) => Message::text(exit(code).to_string()),
                None => return DONE,
            },
        };
        match timeout(STALL, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return GONE,
            Err(_) => return SLOW,
        }
    }
}

fn exit(code: i32) -> Value {
    let mut exit = json!({"type": "exit", "exitCode": code});
    if let Some(signal) = signal::of_exit(code) {
        exit["exitSignal"] = signal.into();
    }
    exit
}

/// Until the viewer leaves.
async fn listen(
    mut reader: SplitStream<WebSocket>,
    terminal: &Terminal,
    answer: mpsc::Sender<Value>,
) {
    while let Some(Ok(message)) = reader.next().await {
        let done = match message {
            Message::Binary(bytes) => terminal.input(bytes).await,
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(Said::Input { data }) => terminal.input(Bytes::from(data)).await,
                Ok(Said::Resize { cols, rows }) => {
                    size_of(cols, rows).and_then(|size| terminal.resize(size))
                }
                Ok(Said::Ping) => {
                    answer.try_send(json!({"type": "pong"})).ok();
                    Ok(())
                }
                Ok(Said::Pong) => Ok(()),
                Err(_) => Err(Problem::invalid("no such message")),
            },
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => return,
        };
        if let Err(Problem { code, message, .. }) = done {
            let error = json!({"type": "error", "code": code.as_str(), "message": message});
            answer.try_send(error).ok();
        }
    }
}

//! What commands, processes and terminals write, while they run.

use serde::{Deserialize, de::DeserializeOwned};

use super::{Error, SseEvent};

/// A piece of what a command or a process writes, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// What it wrote to its standard output; not UTF-8 is replaced.
    Stdout(String),
    /// What it wrote to its standard error; not UTF-8 is replaced.
    Stderr(String),
    /// So many pieces are gone that were written before what comes next.
    Dropped(u64),
    /// Always the last. A stream that ends without it was cut off, and tells nothing of the end.
    Exit(Exit),
}

/// How a command, a process or a terminal's program ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// 124 after a time-out, 128 + n after signal n.
    pub exit_code: i32,
    /// `SIGKILL`, when the exit code is that of a signal.
    #[serde(alias = "exitSignal", default)]
    pub signal: Option<String>,
    /// Ended by its time-out. Only commands tell.
    #[serde(default)]
    pub timed_out: bool,
    /// It wrote more than is told. Only commands tell.
    #[serde(default)]
    pub truncated: bool,
    /// Milliseconds from its start. Only commands tell.
    #[serde(default)]
    pub duration: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Piece {
    pub(super) data: String,
}

#[derive(Deserialize)]
struct Gap {
    dropped: u64,
}

/// `None`: an event that this version does not know.
pub(super) fn read(frame: &SseEvent) -> Result<Option<Output>, Error> {
    Ok(Some(match frame.event.as_str() {
        "stdout" => Output::Stdout(fields::<Piece>(frame)?.data),
        "stderr" => Output::Stderr(fields::<Piece>(frame)?.data),
        "truncated" => Output::Dropped(fields::<Gap>(frame)?.dropped),
        "exit" => Output::Exit(fields(frame)?),
        _ => return Ok(None),
    }))
}

pub(super) fn fields<T: DeserializeOwned>(frame: &SseEvent) -> Result<T, Error> {
    serde_json::from_str(&frame.data)
        .map_err(|error| Error::Decode { context: "a piece of output", source: Some(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_tell_an_end_are_read_and_what_is_unknown_is_passed_over() {
        let told = |event: &str, data: &str| {
            read(&SseEvent { event: event.into(), data: data.into(), id: None })
        };
        let command = told("exit", r#"{"exitCode":124,"timedOut":true,"duration":7}"#).unwrap();
        let Some(Output::Exit(exit)) = command else { panic!("{command:?}") };
        assert_eq!((exit.exit_code, exit.timed_out, exit.duration), (124, true, Some(7)));
        let process = told("exit", r#"{"exitCode":137,"exitSignal":"SIGKILL"}"#).unwrap();
        let Some(Output::Exit(exit)) = process else { panic!("{process:?}") };
        assert_eq!((exit.signal.as_deref(), exit.duration), (Some("SIGKILL"), None));
        let running = told("exit", r#"{"exitCode":0,"exitSignal":null}"#).unwrap();
        assert!(matches!(running, Some(Output::Exit(Exit { exit_code: 0, signal: None, .. }))));
        assert_eq!(told("truncated", r#"{"dropped":3}"#).unwrap(), Some(Output::Dropped(3)));
        assert_eq!(told("later", "{").unwrap(), None);
        assert!(told("stdout", "{").is_err());
    }
}

//! The sidecar in a container, which calls the orchestrator.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    os::unix::{net::UnixStream as StdStream, process::CommandExt},
    process::Command,
    sync::Arc,
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::mpsc,
    time::sleep,
};

use super::{
    SidecarConfig,
    calls::{
        DOOR_SOCKET, GO, KEY_LENGTH, KEY_VARIABLE, LIFELINE, MAX_TEXT, WAITING, WAITING_AT_ONCE,
    },
    is_variable_name,
    probe::Findings,
    serve::{self, Reached},
};

/// The orchestrator answers at once; this long it has when the machine is overwhelmed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before another try to reach the door.
const PAUSE: Duration = Duration::from_millis(50);

/// Variables of an image that say nothing about it, or nothing that holds here.
const NOT_THE_IMAGE: &[&str] =
    &[KEY_VARIABLE, "GLIBC_TUNABLES", "HOME", "HOSTNAME", "PWD", "TERM", "USER", "container"];

/// Becomes the sandbox's init: is told what to be, looks around, and serves.
pub(super) fn run() -> Result<u8, String> {
    if let Ok(key) = std::env::var(KEY_VARIABLE) {
        return Err(begin_again(&key));
    }
    let mut key = String::new();
    let read = io::stdin().take(KEY_LENGTH as u64).read_to_string(&mut key);
    if !read.is_ok_and(|length| length == KEY_LENGTH) {
        return Err("it was started without a key".to_owned());
    }
    let cannot = |error: io::Error| format!("the orchestrator cannot be reached: {error}");
    let mut lifeline = StdStream::connect(DOOR_SOCKET).map_err(cannot)?;
    lifeline.set_read_timeout(Some(PATIENCE)).map_err(cannot)?;
    lifeline
        .write_all(key.as_bytes())
        .and_then(|()| lifeline.write_all(&[LIFELINE]))
        .map_err(cannot)?;
    let config = read_text(&mut lifeline).map_err(cannot)?;
    let mut config: SidecarConfig =
        serde_json::from_slice(&config).map_err(|error| error.to_string())?;
    config.env = with_image(config.env, std::env::vars_os());
    serve::harden(&config).map_err(|error| error.to_string())?;
    crate::driver::confine().map_err(|error| format!("the system call filter: {error}"))?;
    let findings = serde_json::to_vec(&Findings::look()?).map_err(|error| error.to_string())?;
    write_text(&mut lifeline, &findings).map_err(cannot)?;
    lifeline.set_nonblocking(true).map_err(cannot)?;
    serve::serve(config, Reached::Calling { key, lifeline })
}

/// Starts this program once more with the key in a pipe: others inside may be able to read the
/// environment that a program was started with, whatever it does to it later. Returns why it could not.
fn begin_again(key: &str) -> String {
    let begin = || -> io::Result<io::Error> {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(key.as_bytes())?;
        drop(writer);
        let (program, arguments) = super::itself();
        let mut command = Command::new(program);
        command.args(arguments).args([super::ARGUMENT, super::Role::Call.as_str()]);
        Ok(command.env_remove(KEY_VARIABLE).stdin(reader).exec())
    };
    let error = begin().unwrap_or_else(|error| error);
    format!("it cannot be started again: {error}")
}

/// The environment that was asked for, on top of the image's own.
fn with_image(
    mut asked: BTreeMap<String, String>,
    image: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> BTreeMap<String, String> {
    for (name, value) in image {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        // An engine puts its own user's proxies there, which nothing inside could reach.
        let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
        // They would load the image's code into the process above each command.
        let is_linkers = name.starts_with("LD_");
        if is_variable_name(name) && !is_proxy && !is_linkers && !NOT_THE_IMAGE.contains(&name) {
            asked.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    asked
}

fn read_text(stream: &mut StdStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_TEXT {
        return Err(io::Error::other("it says too much"));
    }
    let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut text)?;
    Ok(text)
}

fn write_text(stream: &mut StdStream, text: &[u8]) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(text)
}

/// Ends when the orchestrator is gone.
pub(super) async fn broken(lifeline: StdStream) -> io::Result<()> {
    let mut lifeline = UnixStream::from_std(lifeline)?;
    // Nothing more is said over it.
    lifeline.read_u8().await.ok();
    Ok(())
}

/// Connections that the orchestrator has asked to go. A few others wait for that.
pub(super) struct Caller {
    called: mpsc::Receiver<UnixStream>,
}

impl Caller {
    pub(super) fn new(key: &str) -> Self {
        let (sender, called) = mpsc::channel(1);
        let key: Arc<str> = key.into();
        for _ in 0..WAITING_AT_ONCE {
            let (key, sender) = (key.clone(), sender.clone());
            tokio::spawn(async move {
                loop {
                    match wait(&key).await {
                        Ok(stream) => drop(sender.send(stream).await),
                        // The lifeline tells when the orchestrator is gone.
                        Err(_) => sleep(PAUSE).await,
                    }
                }
            });
        }
        Self { called }
    }
}

/// Calls, and waits until it is told to go.
async fn wait(key: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(DOOR_SOCKET).await?;
    stream.write_all(key.as_bytes()).await?;
    stream.write_u8(WAITING).await?;
    match stream.read_u8().await? {
        GO => Ok(stream),
        other => Err(io::Error::other(format!("told {other}"))),
    }
}

impl Listener for Caller {
    type Io = UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (UnixStream, ()) {
        match self.called.recv().await {
            Some(stream) => (stream, ()),
            // The senders live as long as the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_brings_its_environment_and_what_was_asked_for_goes_before_it() {
        let asked = BTreeMap::from([("LANG".to_owned(), "de_DE.UTF-8".to_owned())]);
        let image = [
            ("PATH", "/opt/tool/bin:/bin"),
            ("LANG", "C"),
            ("HOME", "/root"),
            (KEY_VARIABLE, "secret"),
            ("https_proxy", "http://user:password@proxy.example"),
            ("HTTP_PROXY", "http://proxy.example"),
            ("LD_PRELOAD", "/evil.so"),
            ("not-a-name", "x"),
        ];
        let image = image.map(|(name, value)| (name.into(), value.into()));
        let expected = [("LANG", "de_DE.UTF-8"), ("PATH", "/opt/tool/bin:/bin")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(with_image(asked, image.into_iter()), BTreeMap::from(expected));
    }
}

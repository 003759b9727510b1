//! Terminals of a sandbox: programs that think a person sits before them.

use reqwest::Method;

use super::{
    Error, SandboxHandle, SseEvent, Streamed,
    answer::decode,
    http::segment,
    output::{Exit, Piece, fields},
};
use crate::types::{OpenTerminal, ResizeTerminal, TerminalInfo, TerminalInput};

/// What a terminal shows, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalOutput {
    /// As the program wrote it, with its control characters.
    Text(String),
    /// The reader was too slow: some of what was shown is gone.
    Lost,
    /// Always the last. A stream that ends without it was cut off, and tells nothing of the end.
    Exit(Exit),
}

impl SandboxHandle {
    /// Opens a terminal; its program goes on when nobody looks. Never repeated.
    ///
    /// # Errors
    /// 400 for a size that is none; when it is unknown whether it was opened.
    pub async fn open_terminal(&self, terminal: &OpenTerminal) -> Result<TerminalInfo, Error> {
        let call = self.call(Method::POST, "/terminals")?.json(terminal)?;
        decode(&self.client.send(call).await?, "a terminal")
    }

    /// The terminals of the sandbox.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn terminals(&self) -> Result<Vec<TerminalInfo>, Error> {
        let call = self.call(Method::GET, "/terminals")?;
        decode(&self.client.send(call).await?, "a list of terminals")
    }

    /// One of them, by its session's id; `None` when there is no such.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn terminal(&self, id: &str) -> Result<Option<TerminalInfo>, Error> {
        let call = self.call(Method::GET, &format!("/terminals/{}", segment(id)?))?;
        match self.client.send(call).await {
            Ok(body) => decode(&body, "a terminal").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a terminal another size.
    ///
    /// # Errors
    /// 400 for a size that is none, 404 for an unknown terminal.
    pub async fn resize_terminal(
        &self,
        id: &str,
        size: &ResizeTerminal,
    ) -> Result<TerminalInfo, Error> {
        let call = self.call(Method::PATCH, &format!("/terminals/{}", segment(id)?))?;
        decode(&self.client.send(call.json(size)?).await?, "a terminal")
    }

    /// Types into a terminal, exactly this; a line ends with `\n`. Never repeated.
    ///
    /// # Errors
    /// 404 for an unknown terminal, 409 when its program has ended; when it is unknown whether it was
    /// typed.
    pub async fn type_into_terminal(&self, id: &str, text: &str) -> Result<(), Error> {
        let input = TerminalInput { data: Some(text.to_owned()), command: None };
        let call = self.call(Method::POST, &format!("/terminals/{}/input", segment(id)?))?;
        self.client.send(call.json(&input)?).await.map(drop)
    }

    /// What a terminal shows: first what was shown lately, then what comes, to its program's end.
    /// Dropping the stream ends nothing.
    ///
    /// # Errors
    /// 404 for an unknown terminal. Later failures are the stream's last item.
    pub async fn watch_terminal(&self, id: &str) -> Result<Streamed<TerminalOutput>, Error> {
        let call = self.call(Method::GET, &format!("/terminals/{}/stream", segment(id)?))?;
        let response = self.client.open(call).await?;
        Ok(Streamed::new(response, |frame| read(&frame)))
    }

    /// Closes a terminal and ends what runs in it. One that is gone already is no error.
    ///
    /// # Errors
    /// When it is unknown whether it was closed.
    pub async fn close_terminal(&self, id: &str) -> Result<(), Error> {
        let call = self.call(Method::DELETE, &format!("/terminals/{}", segment(id)?))?;
        match self.client.send(call).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// `None`: an event that this version does not know.
fn read(frame: &SseEvent) -> Result<Option<TerminalOutput>, Error> {
    Ok(Some(match frame.event.as_str() {
        "output" => TerminalOutput::Text(fields::<Piece>(frame)?.data),
        "truncated" => TerminalOutput::Lost,
        "exit" => TerminalOutput::Exit(fields(frame)?),
        _ => return Ok(None),
    }))
}

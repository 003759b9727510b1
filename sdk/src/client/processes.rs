//! Commands that are watched, and processes that go on by themselves.

use reqwest::Method;
use serde::Deserialize;

use super::{
    Error, SandboxHandle, Streamed,
    answer::decode,
    output::{self, Output},
};
use crate::types::{Exec, ProcessInfo, ProcessResult, RunCode, SignalProcess, SpawnProcess};

#[derive(Deserialize)]
struct Spawned {
    pid: i32,
}

#[derive(Deserialize)]
struct Signalled {
    signalled: bool,
}

impl SandboxHandle {
    /// Runs a command and tells what it writes while it runs. Without a time-out of its own the
    /// sandbox's counts. Dropping the stream ends the command with all that it started. Never repeated.
    ///
    /// A command that fails is no error: look at [`Output::Exit`].
    ///
    /// # Errors
    /// When the command could not be started. Later failures are the stream's last item.
    pub async fn exec_stream(&self, exec: &Exec) -> Result<Streamed<Output>, Error> {
        let call = self.call(Method::POST, "/terminals/commands/stream")?.json(exec)?;
        let response = self.client.open(call).await?;
        Ok(Streamed::new(response, |frame| output::read(&frame)))
    }

    /// Starts a process that goes on by itself, whatever `blocking` says, and answers with its id
    /// inside the sandbox. Never repeated.
    ///
    /// # Errors
    /// When it could not be started, or it is unknown whether it was.
    pub async fn spawn(&self, process: &SpawnProcess) -> Result<i32, Error> {
        let process = SpawnProcess { blocking: false, ..process.clone() };
        let call = self.call(Method::POST, "/process/spawn")?.json(&process)?;
        let spawned: Spawned = decode(&self.client.send(call).await?, "a started process")?;
        Ok(spawned.pid)
    }

    /// Starts a process and waits for its end, whatever `blocking` says. Without a time-out of its own
    /// it may run for as long as the client's calls may take. Never repeated.
    ///
    /// A process that fails is no error: look at its exit code.
    ///
    /// # Errors
    /// When it could not be started, or its outcome is unknown.
    pub async fn run_process(&self, process: &SpawnProcess) -> Result<ProcessResult, Error> {
        let (limit, patience) = self.limits(process.timeout_ms);
        let (blocking, timeout_ms) = (true, Some(limit));
        let process = SpawnProcess { blocking, timeout_ms, ..process.clone() };
        let call = self.call(Method::POST, "/process/spawn")?.json(&process)?.timeout(patience);
        decode(&self.client.send(call).await?, "the outcome of a process")
    }

    /// Runs code and waits for its end, whatever `blocking` says. Without a time-out of its own it may
    /// run for as long as the client's calls may take. Never repeated.
    ///
    /// Code that fails is no error: look at its exit code.
    ///
    /// # Errors
    /// 501 for a language that is not there; when the outcome is unknown.
    pub async fn run_code(&self, code: &RunCode) -> Result<ProcessResult, Error> {
        let (limit, patience) = self.limits(code.timeout_ms);
        let code = RunCode { blocking: Some(true), timeout_ms: Some(limit), ..code.clone() };
        let call = self.call(Method::POST, "/process/run-code")?.json(&code)?.timeout(patience);
        decode(&self.client.send(call).await?, "the outcome of code")
    }

    /// The processes that were started so, as far as the sandbox remembers them.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn processes(&self) -> Result<Vec<ProcessInfo>, Error> {
        let call = self.call(Method::GET, "/process")?;
        decode(&self.client.send(call).await?, "a list of processes")
    }

    /// One of them; `None` when there is no such.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn process(&self, pid: i32) -> Result<Option<ProcessInfo>, Error> {
        let call = self.call(Method::GET, &format!("/process/{pid}"))?;
        match self.client.send(call).await {
            Ok(body) => decode(&body, "a process").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a signal, by default `SIGTERM` to it and all that it has started. Answers whether there
    /// was anybody to take it: a process that has ended by itself is no error. Never repeated.
    ///
    /// # Errors
    /// 400 for a signal that is none, 404 for an unknown process.
    pub async fn signal_process(&self, pid: i32, signal: &SignalProcess) -> Result<bool, Error> {
        let call = self.call(Method::DELETE, &format!("/process/{pid}"))?;
        let call = call.json(signal)?.repeatable(false);
        let signalled: Signalled = decode(&self.client.send(call).await?, "a signal")?;
        Ok(signalled.signalled)
    }

    /// What a process writes, with numbers: what is kept after number `since`, then what comes, to its
    /// end. Dropping the stream ends nothing.
    ///
    /// # Errors
    /// 404 for an unknown process. Later failures are the stream's last item.
    pub async fn process_logs(
        &self,
        pid: i32,
        since: u64,
    ) -> Result<Streamed<(u64, Output)>, Error> {
        let path = format!("/process/{pid}/logs");
        let call = self.call(Method::GET, &path)?.query("since", since);
        let response = self.client.open(call).await?;
        let mut last = since;
        Ok(Streamed::new(response, move |frame| {
            if let Some(id) = frame.id.as_ref().and_then(|id| id.parse().ok()) {
                last = id;
            }
            Ok(output::read(&frame)?.map(|output| (last, output)))
        }))
    }
}

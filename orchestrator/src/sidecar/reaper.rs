//! Collects every process that ends in the sandbox: the sidecar's own children, and orphans, which
//! come to it because it is the init.

use std::{
    collections::HashMap,
    io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::WaitOptions;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::{process_tree, supervisor::exit_code};

#[derive(Clone, Debug, Default)]
pub(super) struct Reaper {
    waiting: Arc<Mutex<HashMap<i32, oneshot::Sender<u8>>>>,
}

impl Reaper {
    /// The exit code of a child, once it has one. To be called right after the child was started,
    /// without an `await` in between: the one thread there is cannot have reaped it before.
    pub(super) fn watch(&self, pid: i32) -> oneshot::Receiver<u8> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, sender);
        receiver
    }

    /// Reaps for ever.
    pub(super) async fn run(self) -> io::Result<()> {
        let mut ended = signal(SignalKind::child())?;
        loop {
            self.reap();
            if ended.recv().await.is_none() {
                return Err(io::Error::other("no more signals"));
            }
        }
    }

    fn reap(&self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let (pid, status) = (pid.as_raw_nonzero().get(), ExitStatus::from_raw(status.as_raw()));
            let sender = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
            let Some(sender) = sender else { continue };
            if status.signal().is_some() {
                // A supervisor that is killed, by what runs below it for one, has ended nothing itself.
                process_tree::kill_session(pid);
            }
            // Nobody waits any more: the command was given up.
            sender.send(exit_code(status)).ok();
        }
    }
}

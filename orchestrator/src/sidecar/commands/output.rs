//! What a command wrote, kept up to a limit.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::unix::pipe, sync::watch, time::timeout};

/// How long to wait for the end of output that a process in the background may hold open.
pub(super) const OUTPUT_GRACE: Duration = Duration::from_millis(100);

/// The beginning of what a pipe brought. The rest is read and dropped, so that no command hangs on a
/// full pipe, also not one that stays in the background.
pub(super) struct Output {
    kept: Arc<Mutex<Kept>>,
    closed: watch::Receiver<bool>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    truncated: bool,
    /// The result was taken: nothing more is kept.
    taken: bool,
}

impl Output {
    /// Begins to read. `most`: bytes that are kept.
    pub(super) fn collect(mut pipe: pipe::Receiver, most: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (sender, closed) = watch::channel(false);
        let shared = Arc::clone(&kept);
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let room = most.saturating_sub(kept.bytes.len());
                let fitting = count.min(room);
                if !kept.taken {
                    kept.bytes.extend_from_slice(buffer.get(..fitting).unwrap_or_default());
                    kept.truncated |= fitting < count;
                }
            }
            sender.send_replace(true);
        });
        Self { kept, closed }
    }

    /// All there is once the command has ended, and whether there was more.
    pub(super) async fn finish(&mut self) -> (Vec<u8>, bool) {
        timeout(OUTPUT_GRACE, self.closed.wait_for(|closed| *closed)).await.ok();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.taken = true;
        (std::mem::take(&mut kept.bytes), kept.truncated)
    }
}

/// A pipe's end as the event loop reads it.
pub(super) fn receiver(pipe: Option<impl Into<OwnedFd>>) -> io::Result<pipe::Receiver> {
    let pipe = pipe.ok_or_else(|| io::Error::other("no pipe"))?;
    pipe::Receiver::from_owned_fd(pipe.into())
}

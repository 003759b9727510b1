//! Work that waits for the disk, beside the one thread that everything else runs on.

use std::thread;

use sandbox_sdk::types::ErrorCode;
use tokio::sync::oneshot;

use super::api::Problem;

/// Starts the work on a thread of its own. The thread ends with it: what runs in the sandbox can take
/// the processor away from one that it has found.
///
/// # Errors
/// The sandbox has all the processes that it may, of which a thread is one. The threads that tokio
/// keeps for such work can't be used: it panics there.
pub(super) fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, Problem> {
    let (done, result) = oneshot::channel();
    // Nobody may want the result any more.
    let started = thread::Builder::new().spawn(move || drop(done.send(work())));
    started.map(|_| result).map_err(|error| {
        let words = format!("the sandbox has too many processes to do this ({error}); end some");
        Problem::new(ErrorCode::Unavailable, words)
    })
}

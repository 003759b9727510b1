//! Starts the launchers from one thread that lives as long as the driver.
//!
//! "Die with the parent" means the parent *thread* to Linux. A thread of the runtime's pool may end
//! whenever it is idle, and would take the sandboxes it started with it.

use std::{io, sync::mpsc};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

struct Job {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

#[derive(Debug)]
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("sandbox-spawner".into()).spawn(move || {
            for mut job in queue {
                let _runtime = job.runtime.enter();
                // Nobody waits any more: the child is killed when it is dropped here.
                drop(job.reply.send(job.command.spawn()));
            }
        })?;
        Ok(Self { jobs })
    }

    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the spawner thread has ended");
        let (reply, answer) = oneshot::channel();
        let job = Job { command, runtime: Handle::current(), reply };
        self.jobs.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

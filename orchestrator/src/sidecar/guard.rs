//! Watches what the kernel does not limit by itself: disk use, and memory where there are no control
//! groups. It works only while something runs; an idle sandbox costs nothing.

use std::{
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use rustix::{fs::Mode, io::Errno};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{HOME, WORKSPACE, aside::aside, open_files, process_tree, shared_memory};
use crate::{
    driver::Limits,
    tree::{self, Step},
};

const TICK: Duration = Duration::from_millis(100);
/// Measuring the disk takes at most one part in so many of the time, where the pauses allow it.
const DISK_SHARE: u32 = 20;
const DISK_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause. A look that took long because others had the processor is no reason to look away.
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Far longer than a look at the largest disk, or at all memory, takes.
const LOOK_PATIENCE: Duration = Duration::from_secs(120);
/// Looking for memory that no process has mapped may take at most one part in so many.
const MEMORY_SHARE: u32 = 4;
/// So long it may keep what the processes hold from being looked at.
const MEMORY_PATIENCE: Duration = Duration::from_secs(1);
/// How often the folders are walked again when they are moved about meanwhile.
const WALKS: usize = 3;
/// Files and folders; each takes room on the host that their sizes do not show.
const MAX_ENTRIES: u64 = 200_000;

#[derive(Debug)]
pub(crate) struct Guard {
    limits: Limits,
    watch_memory: bool,
    wake_disk: Notify,
    wake_memory: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    usage: Usage,
    /// Use beyond this is stopped. Above the limit only after the limit was exceeded, so that what
    /// deletes files can run.
    ceiling: Usage,
    /// How often everything was stopped, and why the last time.
    stops: u64,
    reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    bytes: u64,
    entries: u64,
    /// Folders that can't be looked into, or processes on a disk that is nearly full. There may be
    /// anything in them, so they are too much.
    hidden: u64,
}

/// Memory that may not be mapped, as last seen.
struct SharedMemory {
    bytes: u64,
    /// When to look again.
    next: Instant,
    /// A look that takes its time, and when it began. It counts whenever it is done.
    late: Option<(Instant, BoxFuture<'static, Option<u64>>)>,
}

impl SharedMemory {
    fn new() -> Self {
        Self { bytes: 0, next: Instant::now(), late: None }
    }

    async fn look(&mut self) -> Looked {
        let (patience, (started, mut held)) = match self.late.take() {
            Some(late) => (TICK, late),
            None => (MEMORY_PATIENCE, (Instant::now(), look(shared_memory::held).boxed())),
        };
        match timeout(patience, &mut held).await {
            Ok(held) => {
                self.bytes = held.unwrap_or(self.bytes);
                let pause = started.elapsed() * MEMORY_SHARE;
                self.next = Instant::now() + pause.min(PAUSE_MAX);
                Looked::Done
            }
            Err(_) if started.elapsed() > LOOK_PATIENCE => Looked::Kept,
            Err(_) => {
                self.late = Some((started, held));
                Looked::Late
            }
        }
    }
}

/// What became of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    Done,
    /// It goes on.
    Late,
    /// Whoever keeps us from looking hides something.
    Kept,
}

/// Looks on a thread of its own, or here where there is none to be had: using up the processes must
/// not keep us from looking.
async fn look<T: Send + 'static>(at: fn() -> T) -> Option<T> {
    match aside(at) {
        Ok(seen) => seen.await.ok(),
        Err(_) => Some(at()),
    }
}

impl Usage {
    fn exceeds(&self, most: &Self) -> bool {
        self.hidden > 0 || self.bytes > most.bytes || self.entries > most.entries
    }
}

impl Guard {
    pub(super) fn new(limits: Limits, watch_memory: bool) -> Self {
        let guard = Self {
            limits,
            watch_memory,
            wake_disk: Notify::new(),
            wake_memory: Notify::new(),
            state: Mutex::default(),
        };
        guard.state().ceiling = guard.limit();
        guard
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> Usage {
        Usage { bytes: self.limits.disk_mb << 20, entries: MAX_ENTRIES, hidden: 0 }
    }

    /// To be called whenever something is started.
    pub(super) fn wake(&self) {
        self.wake_disk.notify_one();
        self.wake_memory.notify_one();
    }

    /// Bytes in use, as last measured.
    pub(super) fn disk_used(&self) -> u64 {
        self.state().usage.bytes
    }

    /// Bytes that one more file may have: nothing once the disk limit is exceeded. Looks again before
    /// it says that room is short.
    pub(super) async fn room(&self) -> u64 {
        if self.room_by_last_look() < self.limits.max_file_mb << 20 {
            self.measure_disk().await;
        }
        self.room_by_last_look()
    }

    fn room_by_last_look(&self) -> u64 {
        let usage = self.state().usage;
        let limit = self.limit();
        if usage.entries > limit.entries || usage.hidden > 0 {
            return 0;
        }
        limit.bytes.saturating_sub(usage.bytes).min(self.limits.max_file_mb << 20)
    }

    /// Room for bytes that are about to be written; they count from now on. Whether there was room:
    /// it looks again before it says that there is none. Waits for the disk.
    pub(super) fn take(&self, bytes: u64) -> bool {
        self.take_by_last_look(bytes) || {
            self.look();
            self.take_by_last_look(bytes)
        }
    }

    fn take_by_last_look(&self, bytes: u64) -> bool {
        let limit = self.limit();
        let mut state = self.state();
        let wanted = Usage { bytes: state.usage.bytes.saturating_add(bytes), ..state.usage };
        let fits = !wanted.exceeds(&limit);
        if fits {
            state.usage = wanted;
        }
        fits
    }

    /// Takes new files and folders into account until the next measurement. Whether so many more may
    /// be: it looks again before it says no. Waits for the disk.
    pub(super) fn enter(&self, entries: u64) -> bool {
        self.enter_by_last_look(entries) || {
            self.look();
            self.enter_by_last_look(entries)
        }
    }

    fn enter_by_last_look(&self, entries: u64) -> bool {
        let mut state = self.state();
        let wanted = state.usage.entries.saturating_add(entries);
        let fits = wanted <= MAX_ENTRIES;
        if fits {
            state.usage.entries = wanted;
        }
        fits
    }

    /// Bytes that one file may have.
    pub(super) fn largest_file(&self) -> u64 {
        self.limits.max_file_mb << 20
    }

    /// Bytes that all files together may have.
    pub(super) fn whole_disk(&self) -> u64 {
        self.limit().bytes
    }

    pub(super) fn stops(&self) -> u64 {
        self.state().stops
    }

    /// Why everything was stopped since `stops` was asked for, if it was.
    pub(super) fn stopped_since(&self, stops: u64) -> Option<String> {
        let state = self.state();
        (state.stops > stops).then(|| state.reason.clone())
    }

    /// Watches for ever.
    pub(super) async fn run(&self) {
        // Each by itself: a slow look at the one must not keep the other waiting.
        tokio::join!(self.run_disk(), self.run_memory());
    }

    async fn run_disk(&self) {
        self.measure_disk().await;
        loop {
            self.wake_disk.notified().await;
            let mut next = Instant::now();
            while process_tree::ids().len() > 1 {
                if Instant::now() >= next {
                    let started = Instant::now();
                    self.check_disk().await;
                    let pause = started.elapsed() * DISK_SHARE;
                    next = Instant::now() + pause.clamp(DISK_PAUSE, PAUSE_MAX);
                }
                sleep(TICK).await;
            }
            self.check_disk().await;
        }
    }

    async fn run_memory(&self) {
        if !self.watch_memory {
            return;
        }
        loop {
            self.wake_memory.notified().await;
            let mut shared = SharedMemory::new();
            while process_tree::ids().len() > 1 {
                self.check_memory(&mut shared).await;
                sleep(TICK).await;
            }
            // Some of it stays without a process.
            shared.next = Instant::now();
            self.check_memory(&mut shared).await;
        }
    }

    async fn check_memory(&self, shared: &mut SharedMemory) {
        // What the processes hold is seen at once.
        if !self.memory_exceeds(0) {
            if Instant::now() >= shared.next && shared.look().await == Looked::Late {
                return;
            }
            if !self.memory_exceeds(shared.bytes) {
                return;
            }
            // It may be less by now.
            match shared.look().await {
                Looked::Done if self.memory_exceeds(shared.bytes) => {}
                Looked::Kept => {}
                Looked::Done | Looked::Late => return,
            }
        }
        self.stop(format!("the sandbox's memory limit of {} MB", self.limits.memory_mb));
        *shared = SharedMemory::new();
    }

    fn memory_exceeds(&self, shared: u64) -> bool {
        let limit = self.limits.memory_mb << 20;
        let processes = process_tree::all();
        // Counts what is shared more than once, but is cheap.
        let resident = processes.values().map(|process| process.resident).sum::<u64>();
        if resident.saturating_add(shared) <= limit {
            return false;
        }
        let (mut all, mut mapped) = (0_u64, 0_u64);
        for (pid, process) in &processes {
            match process_tree::mapped(*pid) {
                Some(memory) => {
                    all += memory.all;
                    mapped += memory.shared;
                }
                None => all += process.resident,
            }
        }
        // So much of what is shared, at least, is in no process's mapping.
        all.saturating_add(shared.saturating_sub(mapped)) > limit
    }

    async fn check_disk(&self) {
        let usage = self.measure_disk().await;
        let ceiling = self.state().ceiling;
        if usage.exceeds(&ceiling) {
            let hidden = if usage.hidden > 0 { ", and what cannot be looked into" } else { "" };
            self.stop(format!(
                "the sandbox's disk limit of {} MB and {MAX_ENTRIES} files ({} MB and {} files \
                 are there{hidden}; delete some)",
                self.limits.disk_mb,
                usage.bytes >> 20,
                usage.entries
            ));
            let usage = self.measure_disk().await;
            let limit = self.limit();
            self.state().ceiling = Usage {
                bytes: usage.bytes.max(limit.bytes),
                entries: usage.entries.max(limit.entries),
                hidden: 0,
            };
        } else {
            let limit = self.limit();
            if !usage.exceeds(&limit) {
                self.state().ceiling = limit;
            }
        }
    }

    async fn measure_disk(&self) -> Usage {
        let measured = match timeout(LOOK_PATIENCE, look(measure)).await {
            Ok(measured) => measured.flatten(),
            // Whoever keeps us from looking hides something.
            Err(_) => Some(Usage { hidden: 1, ..self.state().usage }),
        };
        self.measured(measured)
    }

    /// Waits for the disk.
    pub(super) fn look(&self) {
        self.measured(measure());
    }

    fn measured(&self, usage: Option<Usage>) -> Usage {
        let mut state = self.state();
        state.usage = usage.unwrap_or(state.usage);
        state.usage
    }

    fn stop(&self, limit: String) {
        process_tree::kill_everything();
        shared_memory::remove_all();
        let mut state = self.state();
        state.stops += 1;
        state.reason = format!("Stopped, with all that ran beside it: {limit} was reached.");
    }
}

/// What the sandbox's own folders take up, and what was deleted in them and is still open. `None`:
/// there was no way to look now.
fn measure() -> Option<Usage> {
    let mut usage = Usage::default();
    for _ in 0..WALKS {
        usage = Usage::default();
        let mut folders = [WORKSPACE, HOME].iter();
        match folders.try_for_each(|folder| add(&mut usage, Path::new(folder))) {
            Ok(()) => {
                usage.bytes += open_files::deleted_bytes();
                usage.hidden += u64::from(open_files::may_fill_the_disk());
                return Some(usage);
            }
            Err(error) if Errno::from_io_error(&error).is_some_and(tree::is_shortage) => {
                return None;
            }
            Err(_) => {}
        }
    }
    // Whoever moves folders about so fast hides something.
    Some(Usage { hidden: usage.hidden + 1, ..usage })
}

/// Links are not followed; what vanishes meanwhile is not counted.
fn add(usage: &mut Usage, folder: &Path) -> io::Result<()> {
    // A command may have closed its folders to us, who have the same uid.
    tree::walk(folder, Mode::RUSR | Mode::XUSR, |step| {
        match step {
            Step::Found { stat, .. } => {
                usage.entries += 1;
                // Blocks of 512 bytes, whatever the file system's own are.
                usage.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            }
            Step::Left { .. } => {}
            Step::Closed(_) => usage.hidden += 1,
        }
        Ok(())
    })
}

//! What a process wrote, as numbered records, for any number of readers at their own pace.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Bytes kept of one process, with what keeping them takes.
const KEPT: usize = 512 << 10;
/// What a record takes beside its text.
const OVERHEAD: usize = 96;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Stdout,
    Stderr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Text {
        source: Source,
        text: String,
    },
    /// The exit code; the last entry.
    Exit(i32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Counts from 1.
    pub(super) id: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) at: i64,
    pub(super) entry: Entry,
}

/// What comes next for a reader.
#[derive(Debug)]
pub(super) struct Next {
    /// So many records were dropped before the reader came to them.
    pub(super) dropped: u64,
    pub(super) record: Option<Record>,
    /// Nothing comes after it.
    pub(super) last: bool,
}

#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Record>,
    bytes: usize,
    last_id: u64,
    exited: bool,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), news: watch::Sender::new(()) }
    }

    /// Nothing is taken after the exit.
    pub(super) fn push(&self, at: i64, entry: Entry) {
        let mut state = self.state();
        if state.exited {
            return;
        }
        state.exited = matches!(entry, Entry::Exit(_));
        state.last_id += 1;
        let record = Record { id: state.last_id, at, entry };
        state.bytes += size(&record);
        state.records.push_back(record);
        while state.bytes > KEPT
            && let Some(dropped) = state.records.pop_front()
        {
            state.bytes -= size(&dropped);
        }
        drop(state);
        self.news.send_replace(());
    }

    /// What comes after the record with this id.
    pub(super) fn after(&self, id: u64) -> Next {
        let state = self.state();
        let first = state.records.front().map_or(state.last_id + 1, |record| record.id);
        let from = id.saturating_add(1).max(first);
        let skipped = usize::try_from(from - first).unwrap_or(usize::MAX);
        let record = state.records.get(skipped).cloned();
        let told = record.as_ref().map_or(id, |record| record.id);
        Next {
            dropped: first.saturating_sub(id.saturating_add(1)),
            last: state.exited && told >= state.last_id,
            record,
        }
    }

    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// All that is kept of both outputs, and whether some was dropped.
    pub(super) fn texts(&self) -> (String, String, bool) {
        let state = self.state();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        for record in &state.records {
            match &record.entry {
                Entry::Text { source: Source::Stdout, text } => stdout.push_str(text),
                Entry::Text { source: Source::Stderr, text } => stderr.push_str(text),
                Entry::Exit(_) => {}
            }
        }
        (stdout, stderr, state.records.front().is_some_and(|first| first.id > 1))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(record: &Record) -> usize {
    let text = match &record.entry {
        Entry::Text { text, .. } => text.capacity(),
        Entry::Exit(_) => 0,
    };
    text + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Entry {
        Entry::Text { source: Source::Stdout, text: text.to_owned() }
    }

    fn read(log: &Log, mut id: u64) -> (Vec<u64>, u64) {
        let (mut ids, mut dropped) = (Vec::new(), 0);
        loop {
            let next = log.after(id);
            dropped += next.dropped;
            let Some(record) = next.record else { return (ids, dropped) };
            ids.push(record.id);
            id = record.id;
            if next.last {
                return (ids, dropped);
            }
        }
    }

    #[test]
    fn a_reader_that_comes_back_goes_on_where_it_was() {
        let log = Log::new();
        (0..40).for_each(|_| log.push(0, text("a")));
        log.push(0, Entry::Exit(0));
        log.push(0, text("too late"));
        assert_eq!(read(&log, 0), ((1..=41).collect(), 0));
        assert_eq!(read(&log, 39), (vec![40, 41], 0));
        for beyond in [41, 42, u64::MAX] {
            let next = log.after(beyond);
            assert!(next.last && next.record.is_none() && next.dropped == 0, "{next:?}");
        }
    }

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let log = Log::new();
        let long = "x".repeat(KEPT / 4);
        (0..10).for_each(|_| log.push(0, text(&long)));
        let (ids, dropped) = read(&log, 0);
        assert_eq!(ids.len() as u64 + dropped, 10);
        assert!(dropped >= 6 && ids.last() == Some(&10));
        assert!(log.texts().2 && log.state().bytes <= KEPT);
    }
}

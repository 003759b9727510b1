//! What the requests of a turn have read, from which it can be told what the next one will read.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{request::Outline, usage::Usage},
    Wanted,
};

/// Requests that are remembered: an agent has few conversations with its model at the same time.
const REMEMBERED: usize = 4;
/// How long providers keep what they were asked about.
const CACHE_LIFE: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Default)]
pub(super) struct Past(VecDeque<Earlier>);

/// A request that was answered.
#[derive(Debug)]
struct Earlier {
    outline: Arc<Outline>,
    usage: Usage,
    at: Instant,
}

impl Past {
    pub(super) fn remember(&mut self, outline: Arc<Outline>, usage: &Usage, at: Instant) {
        if usage.read() == 0 {
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Earlier { outline, usage: *usage, at });
    }

    /// The most that the request will read. As much of it as an earlier one began with comes to what
    /// that one really read, at most, and lies in the provider's cache, if the provider has one and looks
    /// there for this request. All the rest is new.
    pub(super) fn expect(&self, wanted: &Wanted, now: Instant) -> Usage {
        let compared =
            self.0.iter().map(|earlier| (wanted.outline.compare(&earlier.outline), earlier));
        let best = compared.max_by_key(|((alike, _), _)| *alike);
        let Some(((alike @ 1.., rest), earlier)) = best else {
            return fresh(wanted.input, wanted.caches);
        };
        let known = alike.min(earlier.usage.read());
        let cached = earlier.usage.cache_read.saturating_add(earlier.usage.cache_write);
        let is_kept = now.saturating_duration_since(earlier.at) < CACHE_LIFE;
        let cache_read = if wanted.reads_cache && is_kept { known.min(cached) } else { 0 };
        let read_anew = (known - cache_read).saturating_add(rest.min(wanted.input));
        let caches = wanted.caches || (wanted.reads_cache && earlier.usage.cache_write > 0);
        Usage { cache_read, ..fresh(read_anew, caches) }
    }
}

/// What is read for the first time. To put it into a cache costs more, where it costs at all.
fn fresh(tokens: u64, caches: bool) -> Usage {
    let (input, cache_write) = if caches { (0, tokens) } else { (tokens, 0) };
    Usage { input, cache_write, ..Usage::default() }
}

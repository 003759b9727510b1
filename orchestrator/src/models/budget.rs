//! What a turn may ask of its model, and what it has used of that.
//!
//! What a request will cost at most is set aside before it goes out, so that requests at the same
//! time can't spend the same tokens twice. What is left over comes back with the real figures.
//!
//! What a request writes is bounded by its own limit; what it reads is estimated. So a turn costs no
//! more than it may, but for what the requests that are under way at its end read beyond their
//! estimates: after them none goes out any more. Nothing comes back of a request whose end was not
//! heard: its provider may write, and bill, up to its limit.

mod past;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox_sdk::types::{CostLimit, TurnLimits};

use super::{request::Outline, usage::Usage};
use past::Past;

/// Requests that may go out within the window. More wait for their turn.
const PACE: usize = 10;
const PACE_WINDOW: Duration = Duration::from_secs(10);
/// How often the very same request may be made in a row: once, and twice more because it failed.
const MAX_IDENTICAL: u32 = 3;
/// No model writes more in one answer. A request that names no limit needs none as long as so much
/// can be paid.
const LONGEST_ANSWER: u64 = 128_000;
const MILLION: u128 = 1_000_000;

/// What a request wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Of the body.
    pub(super) hash: [u8; 32],
    /// Tokens that it will have read, the most that it can reasonably come to.
    pub(super) input: u64,
    /// What requests like it usually come to.
    pub(super) usual: u64,
    /// Of what.
    pub(super) outline: Arc<Outline>,
    /// It asks the provider to keep some of that in its cache.
    pub(super) caches: bool,
    /// What it begins with is looked for in the provider's cache: it asks for that, or need not.
    pub(super) reads_cache: bool,
    /// The most it lets the model write.
    pub(super) max_output: Option<u64>,
    /// Less makes no sense.
    pub(super) least_output: u64,
}

/// What was set aside for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    usage: Usage,
    outline: Arc<Outline>,
    /// The most that the model may write, where the client's own limit was too much.
    pub(super) clamp: Option<u64>,
}

/// Whether a request may go out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Go(Reservation),
    /// The pace is too fast.
    At(Instant),
    /// Others have set aside what this one needs; it comes back in part.
    WhenOthersEnd,
    No(Refusal),
}

/// Why nothing more goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Tokens or money.
    UsedUp,
    TooManyRequests(u32),
    Identical,
}

#[derive(Debug)]
pub(super) struct Budget {
    limits: TurnLimits,
    max_requests: u32,
    admitted: u32,
    /// Counts of tokens, which cost nothing.
    counted: u32,
    recent: VecDeque<Instant>,
    last: Option<[u8; 32]>,
    in_a_row: u32,
    spent: Usage,
    past: Past,
    reserved: Usage,
    under_way: u32,
}

impl Budget {
    pub(super) fn new(limits: TurnLimits, max_requests: u32) -> Self {
        Self {
            limits,
            max_requests,
            admitted: 0,
            counted: 0,
            recent: VecDeque::with_capacity(PACE),
            last: None,
            in_a_row: 0,
            spent: Usage::default(),
            past: Past::default(),
            reserved: Usage::default(),
            under_way: 0,
        }
    }

    /// Lets a request out, or says why not. Only a request that goes is counted.
    pub(super) fn admit(&mut self, wanted: &Wanted, now: Instant) -> Admission {
        if self.admitted >= self.max_requests {
            return Admission::No(Refusal::TooManyRequests(self.max_requests));
        }
        let in_a_row = if self.last == Some(wanted.hash) { self.in_a_row + 1 } else { 1 };
        if in_a_row > MAX_IDENTICAL {
            return Admission::No(Refusal::Identical);
        }
        if let Some(at) = self.next_slot(now) {
            return Admission::At(at);
        }
        let reservation = match self.reserve(wanted, now) {
            Ok(reservation) => reservation,
            // Alone it could do more: what the others leave over is worth waiting for.
            Err(_) if self.under_way > 0 => return Admission::WhenOthersEnd,
            Err(refusal) => return Admission::No(refusal),
        };
        if reservation.clamp.is_some() && self.under_way > 0 {
            return Admission::WhenOthersEnd;
        }
        self.admitted += 1;
        self.last = Some(wanted.hash);
        self.in_a_row = in_a_row;
        self.take_slot(now);
        self.reserved.add(&reservation.usage);
        self.under_way += 1;
        Admission::Go(reservation)
    }

    /// Lets a count of tokens out. It costs nothing, but providers limit it as well.
    pub(super) fn admit_count(&mut self, now: Instant) -> Admission {
        if self.counted >= self.max_requests {
            return Admission::No(Refusal::TooManyRequests(self.max_requests));
        }
        if let Some(at) = self.next_slot(now) {
            return Admission::At(at);
        }
        self.counted += 1;
        self.take_slot(now);
        let (usage, outline) = (Usage::default(), Arc::default());
        Admission::Go(Reservation { usage, outline, clamp: None })
    }

    /// Gives back what was set aside, and takes what was used. `true`: the answer ended because no
    /// more could be paid.
    pub(super) fn settle(&mut self, reservation: &Reservation, used: &Usage) -> bool {
        let Usage { input, cache_read, cache_write, output, .. } = reservation.usage;
        self.reserved.input = self.reserved.input.saturating_sub(input);
        self.reserved.cache_read = self.reserved.cache_read.saturating_sub(cache_read);
        self.reserved.cache_write = self.reserved.cache_write.saturating_sub(cache_write);
        self.reserved.output = self.reserved.output.saturating_sub(output);
        self.under_way = self.under_way.saturating_sub(1);
        self.spent.add(used);
        reservation.clamp.is_some_and(|most| used.output >= most)
    }

    /// Takes all output that was set aside as used, and all input where the provider did not tell what
    /// it `read`. For a request whose answer was left before its end: what is given back could be asked
    /// for again, and an agent that hangs up on every request would have the turn's limit written over
    /// and over.
    pub(super) fn forfeit(&mut self, reservation: &Reservation, read: Option<&Usage>) {
        let held = &reservation.usage;
        let read = read.unwrap_or(held);
        let most = Usage { output: held.output.max(read.output), ..*read };
        self.settle(reservation, &most);
    }

    /// Remembers what the provider says that a request read: the next one will begin like it.
    pub(super) fn learn(&mut self, reservation: &Reservation, used: &Usage, now: Instant) {
        self.past.remember(reservation.outline.clone(), used, now);
    }

    fn next_slot(&mut self, now: Instant) -> Option<Instant> {
        while self.recent.front().is_some_and(|at| now.duration_since(*at) >= PACE_WINDOW) {
            self.recent.pop_front();
        }
        let first = *self.recent.front()?;
        (self.recent.len() >= PACE).then(|| first + PACE_WINDOW)
    }

    fn take_slot(&mut self, now: Instant) {
        self.recent.push_back(now);
    }

    fn reserve(&self, wanted: &Wanted, now: Instant) -> Result<Reservation, Refusal> {
        let mut usage = self.past.expect(wanted, now);
        let mut gone = self.spent;
        gone.add(&self.reserved);
        let mut most = u64::MAX;
        if let Some(limit) = self.limits.max_input_tokens
            && gone.read().saturating_add(usage.read()) > limit
        {
            return Err(Refusal::UsedUp);
        }
        if let Some(limit) = self.limits.max_output_tokens {
            most = limit.saturating_sub(gone.output);
        }
        if let Some(prices) = &self.limits.max_cost {
            let mut before = gone;
            before.add(&usage);
            most = most.min(affordable(prices, &before).ok_or(Refusal::UsedUp)?);
        }
        let asked = wanted.max_output.unwrap_or(LONGEST_ANSWER).min(LONGEST_ANSWER);
        if most < asked.min(wanted.least_output) {
            return Err(Refusal::UsedUp);
        }
        usage.output = asked.min(most);
        let clamp = (most < asked).then_some(most);
        Ok(Reservation { usage, outline: wanted.outline.clone(), clamp })
    }
}

impl Reservation {
    /// What it probably reads, where requests like it usually read so much: no more than was set aside
    /// for that, and as much of it from a cache.
    pub(super) fn expected(&self, usual: u64) -> Usage {
        let probable = usual.min(self.usage.read());
        let cache_read = self.usage.cache_read.min(probable);
        let cache_write = self.usage.cache_write.min(probable - cache_read);
        let input = probable - cache_read - cache_write;
        Usage { input, cache_read, cache_write, ..Usage::default() }
    }
}

/// Tokens of output that can be paid after all of the given usage; `None`: that is too much already.
fn affordable(prices: &CostLimit, used: &Usage) -> Option<u64> {
    let cost = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
    let gone = [
        cost(used.input, prices.input),
        cost(used.cache_read, prices.cache_read),
        cost(used.cache_write, prices.cache_write),
        cost(used.output, prices.output),
    ];
    let gone = gone.into_iter().fold(0_u128, u128::saturating_add);
    let left = (u128::from(prices.amount) * MILLION).checked_sub(gone)?;
    match left.checked_div(u128::from(prices.output)) {
        Some(tokens) => Some(u64::try_from(tokens).unwrap_or(u64::MAX)),
        None => Some(u64::MAX),
    }
}

#[cfg(test)]
mod tests;

//! What a turn may ask of its model, and what it has used of that.
//!
//! What a request may cost at most is set aside before it goes out, so that requests at the same
//! time can't spend the same tokens twice. What is left over comes back with the real figures.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use sandbox_sdk::types::{CostLimit, TurnLimits};

use super::usage::Usage;

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Of the body.
    pub(super) hash: [u8; 32],
    /// Tokens that it will have read, estimated.
    pub(super) input: u64,
    /// The most it lets the model write.
    pub(super) max_output: Option<u64>,
    /// Less makes no sense.
    pub(super) least_output: u64,
}

/// What was set aside for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    usage: Usage,
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
    /// What the last request read, to guess what the next will find in the cache.
    last_read: Usage,
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
            last_read: Usage::default(),
            reserved: Usage::default(),
            under_way: 0,
        }
    }

    pub(super) fn spent(&self) -> Usage {
        self.spent
    }

    /// What requests under way have read by now, as far as that is known, and how many there are.
    pub(super) fn under_way(&self) -> (Usage, u32) {
        (Usage { output: 0, ..self.reserved }, self.under_way)
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
        let reservation = match self.reserve(wanted) {
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
        Admission::Go(Reservation { usage: Usage::default(), clamp: None })
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
        if used.read() > 0 {
            self.last_read = *used;
        }
        reservation.clamp.is_some_and(|most| used.output >= most)
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

    fn reserve(&self, wanted: &Wanted) -> Result<Reservation, Refusal> {
        let mut usage = self.expect(wanted.input);
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
        Ok(Reservation { usage, clamp: (most < asked).then_some(most) })
    }

    /// What the input will probably be: what the last request read is in the cache by now, if the
    /// provider has one.
    fn expect(&self, input: u64) -> Usage {
        let last = self.last_read;
        let in_cache = last.cache_read.saturating_add(last.cache_write);
        let cache_read = if in_cache > 0 { last.read().min(input) } else { 0 };
        let rest = input - cache_read;
        let written = last.cache_write > 0;
        let (input, cache_write) = if written { (0, rest) } else { (rest, 0) };
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
mod tests {
    use super::*;

    fn wanted(tag: u8, input: u64, max_output: Option<u64>) -> Wanted {
        Wanted { hash: [tag; 32], input, max_output, least_output: 16 }
    }

    fn go(budget: &mut Budget, wanted: &Wanted) -> Reservation {
        match budget.admit(wanted, Instant::now()) {
            Admission::Go(reservation) => reservation,
            other => panic!("{other:?}"),
        }
    }

    fn used(input: u64, output: u64) -> Usage {
        Usage { input, output, ..Usage::default() }
    }

    fn cost_limit(amount: u64) -> TurnLimits {
        let prices = CostLimit {
            amount,
            input: 3_000_000,
            output: 15_000_000,
            cache_read: 300_000,
            cache_write: 3_750_000,
        };
        TurnLimits { max_cost: Some(prices), ..TurnLimits::default() }
    }

    #[test]
    fn a_turn_without_limits_changes_no_request() {
        let mut budget = Budget::new(TurnLimits::default(), 60);
        assert_eq!(go(&mut budget, &wanted(1, 1 << 40, None)).clamp, None);
        assert_eq!(go(&mut budget, &wanted(2, 10, Some(u64::MAX))).clamp, None);
    }

    #[test]
    fn money_bounds_the_output_and_then_everything() {
        // 100 in at 3, so 1000 leave 700 for output at 15: 46 tokens.
        let mut budget = Budget::new(cost_limit(1000), 60);
        let reservation = go(&mut budget, &wanted(1, 100, Some(4096)));
        assert_eq!(reservation.clamp, Some(46));
        assert!(!budget.settle(&reservation, &used(100, 40)));
        let refused = budget.admit(&wanted(2, 100, Some(4096)), Instant::now());
        assert_eq!(refused, Admission::No(Refusal::UsedUp));
        // A short answer to a short question can still be paid.
        let reservation = go(&mut budget, &wanted(3, 1, Some(6)));
        assert_eq!(reservation.clamp, None);
    }

    #[test]
    fn an_answer_that_fills_its_clamp_has_used_up_the_turn() {
        let mut budget = Budget::new(cost_limit(1000), 60);
        let reservation = go(&mut budget, &wanted(1, 100, None));
        assert!(budget.settle(&reservation, &used(100, 46)));
    }

    #[test]
    fn parallel_requests_do_not_spend_the_same_tokens() {
        let limits = TurnLimits { max_output_tokens: Some(1000), ..TurnLimits::default() };
        let mut budget = Budget::new(limits, 60);
        let first = go(&mut budget, &wanted(1, 1, Some(900)));
        let second = wanted(2, 1, Some(200));
        assert_eq!(budget.admit(&second, Instant::now()), Admission::WhenOthersEnd);
        budget.settle(&first, &used(1, 100));
        assert_eq!(go(&mut budget, &second).clamp, None);
    }

    #[test]
    fn every_token_that_was_read_counts_towards_the_input() {
        let limits = TurnLimits { max_input_tokens: Some(1000), ..TurnLimits::default() };
        let mut budget = Budget::new(limits, 60);
        let first = go(&mut budget, &wanted(1, 500, None));
        let usage = Usage { input: 100, cache_read: 500, cache_write: 100, ..Usage::default() };
        budget.settle(&first, &usage);
        let refused = budget.admit(&wanted(2, 400, None), Instant::now());
        assert_eq!(refused, Admission::No(Refusal::UsedUp));
        go(&mut budget, &wanted(2, 300, None));
    }

    #[test]
    fn what_lies_in_the_cache_is_expected_at_its_own_price() {
        let mut budget = Budget::new(cost_limit(100_000), 60);
        let first = go(&mut budget, &wanted(1, 10_000, Some(100)));
        let usage = Usage { cache_write: 10_000, output: 100, ..Usage::default() };
        budget.settle(&first, &usage);
        // 61 000 are left; at the full price 20 000 tokens would cost 75 000.
        let second = go(&mut budget, &wanted(2, 20_000, Some(100)));
        assert_eq!((second.usage.cache_read, second.usage.cache_write), (10_000, 10_000));
    }

    #[test]
    fn the_same_request_goes_out_three_times_in_a_row() {
        let mut budget = Budget::new(TurnLimits::default(), 60);
        for _ in 0..3 {
            go(&mut budget, &wanted(1, 1, None));
        }
        let refused = budget.admit(&wanted(1, 1, None), Instant::now());
        assert_eq!(refused, Admission::No(Refusal::Identical));
        go(&mut budget, &wanted(2, 1, None));
        go(&mut budget, &wanted(1, 1, None));
    }

    #[test]
    fn the_number_of_requests_is_bounded() {
        let mut budget = Budget::new(TurnLimits::default(), 2);
        go(&mut budget, &wanted(1, 1, None));
        go(&mut budget, &wanted(2, 1, None));
        let refused = budget.admit(&wanted(3, 1, None), Instant::now());
        assert_eq!(refused, Admission::No(Refusal::TooManyRequests(2)));
    }

    #[test]
    fn a_fast_agent_is_slowed_down() {
        let mut budget = Budget::new(TurnLimits::default(), 60);
        let start = Instant::now();
        for tag in 0..10 {
            assert!(matches!(budget.admit(&wanted(tag, 1, None), start), Admission::Go(_)));
        }
        let eleventh = wanted(11, 1, None);
        assert_eq!(budget.admit(&eleventh, start), Admission::At(start + PACE_WINDOW));
        assert!(matches!(budget.admit(&eleventh, start + PACE_WINDOW), Admission::Go(_)));
    }

    #[test]
    fn prices_of_any_size_do_not_overflow() {
        let prices = CostLimit {
            amount: u64::MAX,
            input: u64::MAX,
            output: 0,
            cache_read: u64::MAX,
            cache_write: u64::MAX,
        };
        let all = Usage { input: u64::MAX, cache_read: u64::MAX, ..Usage::default() };
        assert_eq!(affordable(&prices, &all), None);
        assert_eq!(affordable(&prices, &Usage::default()), Some(u64::MAX));
    }
}

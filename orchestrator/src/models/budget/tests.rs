use proptest::prelude::*;

use super::*;

/// A request to a provider that caches by itself.
fn wanted(tag: u8, input: u64, max_output: Option<u64>) -> Wanted {
    Wanted {
        hash: [tag; 32],
        input,
        usual: input,
        outline: Arc::default(),
        caches: false,
        reads_cache: true,
        max_output,
        least_output: 16,
    }
}

/// A request that consists of these parts, by their tokens.
fn of_parts(tag: u8, parts: &[(char, u64)]) -> Wanted {
    let texts: Vec<_> = parts
        .iter()
        .map(|(letter, tokens)| letter.to_string().repeat(3 * *tokens as usize))
        .collect();
    let input = parts.iter().map(|(_, tokens)| tokens).sum();
    Wanted { outline: Outline::of(&texts), ..wanted(tag, input, Some(100)) }
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

/// Without what was written.
fn read(usage: &Usage) -> Usage {
    Usage { output: 0, ..*usage }
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
fn what_may_have_been_written_unheard_is_not_given_back() {
    let limits = TurnLimits { max_output_tokens: Some(1000), ..TurnLimits::default() };
    let mut budget = Budget::new(limits, 60);
    let first = go(&mut budget, &wanted(1, 100, Some(900)));
    budget.forfeit(&first, None);
    assert_eq!((budget.spent, budget.reserved), (used(100, 900), Usage::default()));
    let second = go(&mut budget, &wanted(2, 1, Some(200)));
    assert_eq!(second.clamp, Some(100));
    // What the provider says that it read counts, whatever was expected.
    let read = Usage { cache_write: 5, output: 3, ..Usage::default() };
    budget.forfeit(&second, Some(&read));
    assert_eq!(budget.spent, Usage { cache_write: 5, ..used(100, 1000) });
    let refused = budget.admit(&wanted(3, 1, Some(200)), Instant::now());
    assert_eq!(refused, Admission::No(Refusal::UsedUp));
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
    let first = go(&mut budget, &of_parts(1, &[('a', 10_000)]));
    let usage = Usage { cache_write: 10_000, output: 100, ..Usage::default() };
    budget.settle(&first, &usage);
    budget.learn(&first, &usage, Instant::now());
    // 61 000 are left; at the full price 20 000 tokens would cost 75 000.
    let second = of_parts(2, &[('a', 10_000), ('b', 10_000)]);
    let reservation = go(&mut budget, &second);
    assert_eq!((reservation.usage.cache_read, reservation.usage.cache_write), (10_000, 10_000));
    // Where less is probable, it is less of what is new.
    for (usual, cache_read, cache_write) in
        [(12_000, 10_000, 2_000), (5_000, 5_000, 0), (u64::MAX, 10_000, 10_000)]
    {
        let expected = Usage { cache_read, cache_write, ..Usage::default() };
        assert_eq!(reservation.expected(usual), expected);
    }
    // Another conversation finds nothing of it there, nor does this one when it was kept too long.
    let other = budget.past.expect(&of_parts(3, &[('c', 5_000), ('a', 10_000)]), Instant::now());
    assert_eq!((other.cache_read, other.read()), (0, 15_000));
    let later = Instant::now() + Duration::from_secs(300);
    let expected = budget.past.expect(&second, later);
    assert_eq!((expected.cache_read, expected.cache_write), (0, 20_000));
}

#[test]
fn what_was_read_before_is_expected_as_it_was_counted() {
    let mut budget = Budget::new(TurnLimits::default(), 60);
    // Pictures, say: less than they could have been.
    let first = go(&mut budget, &of_parts(1, &[('a', 1_000), ('p', 90_000)]));
    assert_eq!(read(&first.usage), used(91_000, 0));
    budget.settle(&first, &used(3_000, 10));
    budget.learn(&first, &used(3_000, 10), Instant::now());
    let next = of_parts(2, &[('a', 1_000), ('p', 90_000), ('b', 500)]);
    assert_eq!(budget.past.expect(&next, Instant::now()), used(3_500, 0));
    // Only the beginning is alike.
    let forked = of_parts(3, &[('a', 1_000), ('q', 90_000)]);
    assert_eq!(budget.past.expect(&forked, Instant::now()), used(91_000, 0));
}

#[test]
fn what_is_to_be_kept_in_a_cache_is_expected_at_the_price_of_that() {
    let mut budget = Budget::new(cost_limit(1_000_000), 60);
    let wanted = Wanted { caches: true, ..wanted(1, 1_000, Some(10)) };
    let reservation = go(&mut budget, &wanted);
    assert_eq!((reservation.usage.input, reservation.usage.cache_write), (0, 1_000));
}

#[test]
fn a_cache_that_has_to_be_asked_is_not_counted_on_unasked() {
    let mut budget = Budget::new(TurnLimits::default(), 60);
    let asks = |tag, parts: &[(char, u64)]| Wanted { caches: true, ..of_parts(tag, parts) };
    let first = go(&mut budget, &asks(1, &[('a', 10_000)]));
    let usage = Usage { cache_write: 9_000, output: 100, ..Usage::default() };
    budget.settle(&first, &usage);
    budget.learn(&first, &usage, Instant::now());
    let parts = [('a', 10_000), ('b', 500)];
    let expected = budget.past.expect(&asks(2, &parts), Instant::now());
    assert_eq!((expected.cache_read, expected.cache_write), (9_000, 500));
    let unasked = Wanted { reads_cache: false, ..of_parts(3, &parts) };
    assert_eq!(budget.past.expect(&unasked, Instant::now()), used(9_500, 0));
}

/// What the usage costs, in millionths.
fn cost(usage: &Usage, limits: &TurnLimits) -> u128 {
    let prices = limits.max_cost.as_ref().unwrap();
    [
        (usage.input, prices.input),
        (usage.cache_read, prices.cache_read),
        (usage.cache_write, prices.cache_write),
        (usage.output, prices.output),
    ]
    .into_iter()
    .map(|(tokens, price)| u128::from(tokens) * u128::from(price))
    .sum()
}

/// Conversations, of which each request repeats a beginning. They begin alike, and then do not.
const CONVERSATIONS: [[(char, u64); 4]; 2] = [
    [('a', 150), ('b', 40), ('c', 250), ('d', 10)],
    [('a', 150), ('x', 90), ('y', 20), ('z', 300)],
];

proptest! {
    /// Whatever is asked for, however wrong the estimates are, and whether or not anybody hears what was
    /// used. Of what was read beyond the estimates, only what was heard can be saved later.
    #[test]
    fn a_hold_is_overdrawn_by_no_more_than_requests_under_way_read_beyond_their_estimates(
        steps in proptest::collection::vec(
            (
                any::<[bool; 4]>(),
                0_usize..4,
                (0_usize..2, 1_usize..=4),
                proptest::array::uniform3(0_u64..300),
                0_u64..200,
            ),
            1..60,
        ),
    ) {
        let held = 20_000 * MILLION;
        let limits = cost_limit(20_000);
        let mut budget = Budget::new(limits.clone(), 60);
        let mut under_way = Vec::new();
        // By the provider, whoever heard of it.
        let mut billed = Usage::default();
        let (mut beyond, mut unheard) = (0, 0);
        let mut now = Instant::now();
        for (tag, (flags, which, (conversation, length), tokens, written)) in (0_u8..).zip(steps) {
            let [admits, caches, reads_cache, is_heard] = flags;
            now += PACE_WINDOW;
            if admits {
                let asked = of_parts(tag, &CONVERSATIONS[conversation][..length]);
                let asked = Wanted { caches, reads_cache, ..asked };
                if let Admission::Go(reservation) = budget.admit(&asked, now) {
                    under_way.push(reservation);
                    // Nothing goes out on what others have already read too much.
                    beyond = 0;
                }
            } else if which < under_way.len() {
                let reservation = under_way.remove(which);
                let [input, cache_read, cache_write] = tokens;
                let output = written.min(reservation.usage.output);
                let used = Usage { input, cache_read, cache_write, output, reasoning: 0 };
                let expected = cost(&read(&reservation.usage), &limits);
                let excess = cost(&read(&used), &limits).saturating_sub(expected);
                billed.add(&used);
                if is_heard {
                    beyond += excess;
                    budget.settle(&reservation, &used);
                    budget.learn(&reservation, &used, now);
                } else if written.is_multiple_of(2) {
                    beyond += excess;
                    budget.forfeit(&reservation, Some(&Usage { output: output / 2, ..used }));
                } else {
                    unheard += excess;
                    budget.forfeit(&reservation, None);
                }
            }
            let with_reserved = |mut all: Usage| {
                all.add(&budget.reserved);
                cost(&all, &limits)
            };
            let (known, real) = (with_reserved(budget.spent), with_reserved(billed));
            prop_assert!(known <= held + beyond, "{known} > {held} + {beyond}");
            let most = held + beyond + unheard;
            prop_assert!(real <= most, "{real} > {held} + {beyond} + {unheard}");
        }
    }
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

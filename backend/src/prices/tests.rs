use proptest::prelude::*;

use super::{
    file::{MAX_PRICE, MAX_TOKENS},
    *,
};

const FILE: &str = r#"
version = "1"
default = "demo"
hold = 200
minimum_hold = 10

[models.demo]
input = 100
output = 500
max_input_tokens = 20_000
max_output_tokens = 20_000
minimum_hold = 1
agent = "demo"

[models]
"host/large" = { input = 300, output = 1500, cache_read = 30, cache_write = 375 }
"host/la*" = { input = 7, output = 7 }
"host/*" = { input = 1, output = 2, hold = 50, minimum_hold = 5 }
"here/*" = { input = 0, output = 0 }
"#;

fn prices() -> Prices {
    Prices::parse(FILE).unwrap()
}

fn demo() -> Model {
    prices().model("demo").unwrap()
}

fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage { input_tokens: input, output_tokens: output, ..TokenUsage::default() }
}

#[test]
fn the_built_in_prices_are_those_of_the_file() {
    let prices = Prices::built_in().unwrap();
    let model = prices.default_model().unwrap();
    assert_eq!(model.name, "demo");
    assert_eq!(model.agent.as_deref(), Some("demo"));
    assert_eq!(model.price.input, 100_000_000);
    assert_eq!(model.price.cache_read, 100_000_000);
    assert_eq!(model.full_hold(), Credits::from_whole(12));
    assert_eq!(model.minimum_hold, Credits::from_whole(1));
    for local in ["ollama/llama3.2:3b", "llama.cpp/anything"] {
        assert!(prices.model(local).unwrap().price.is_free(), "{local}");
    }
}

#[test]
fn what_a_model_is_charged_for_writing_is_never_less_than_for_reading_a_cache() {
    let prices = Prices::built_in().unwrap();
    let paid: Vec<_> = prices.exact.values().collect();
    assert!(paid.len() > 20, "a price list");
    for Model { name, price, minimum_hold, .. } in paid {
        assert!(price.input > 0 && *minimum_hold > Credits::ZERO, "{name}");
        assert!(price.output >= price.input, "{name}");
        assert!(price.cache_read <= price.input && price.cache_write >= price.input, "{name}");
    }
}

#[test]
fn a_price_that_makes_no_sense_is_refused() {
    for wrong in ["-100", "-0.000001", "nan", "inf", "-inf", "1_000_001", "1e300", "\"100\""] {
        let file = FILE.replace("input = 100\n", &format!("input = {wrong}\n"));
        assert!(Prices::parse(&file).is_err(), "{wrong}");
    }
    for (from, to) in [
        ("max_input_tokens = 20_000", "max_input_tokens = 0"),
        ("max_input_tokens = 20_000", "max_input_tokens = -1"),
        ("max_input_tokens = 20_000", "max_input_tokens = 18446744073709551615"),
        ("max_input_tokens = 20_000", ""),
        ("minimum_hold = 1\n", "minimum_hold = 13\n"),
        ("minimum_hold = 1\n", "minimum_hold = -1\n"),
        ("minimum_hold = 1\n", "minimum_hold = 1\nhold = 12\n"),
        ("default = \"demo\"", "default = \"other\""),
        ("default = \"demo\"", "default = \"host/large\""),
        ("output = 500", "ouput = 500"),
        ("agent = \"demo\"", ""),
        ("agent = \"demo\"", "agent = \"demo\"\nprovider = \"host\""),
        ("hold = 200\n", ""),
        ("hold = 200\n", "hold = 0\n"),
        ("hold = 200\n", "hold = 9\n"),
        ("minimum_hold = 10\n", ""),
        ("\"host/la*\"", "\"*\""),
        ("\"host/la*\"", "\"ho*/la\""),
        ("\"host/la*\"", "\"host/la**\""),
        ("\"host/la*\"", "\"/la\""),
        ("output = 0 }", "output = 0, hold = 5 }"),
        ("output = 7 }", "output = 7, provider = \"x\" }"),
    ] {
        assert!(FILE.contains(from), "{from}");
        assert!(Prices::parse(&FILE.replacen(from, to, 1)).is_err(), "{from} -> {to}");
    }
}

#[test]
fn an_unknown_model_is_refused_and_not_free() {
    for unknown in ["", "Demo", "gpt", "host/", "/large", "Host/large", "else/large", "here"] {
        assert!(prices().model(unknown).is_none(), "{unknown:?}");
    }
}

#[test]
fn the_most_exact_entry_counts() {
    let price = |name: &str| prices().model(name).unwrap().price.input;
    assert_eq!(price("host/large"), 300_000_000);
    assert_eq!(price("host/large-20260922"), 300_000_000);
    assert_eq!(price("host/large-2026-09-22"), 300_000_000);
    assert_eq!(price("host/large-fast"), 7_000_000);
    assert_eq!(price("host/larger"), 7_000_000);
    assert_eq!(price("host/small"), 1_000_000);
    assert_eq!(price("here/a/b:c"), 0);
}

#[test]
fn a_model_has_the_name_its_provider_gives_it() {
    let model = prices().model("here/meta/llama:3b").unwrap();
    assert_eq!(model.name, "here/meta/llama:3b");
    let served = Served { provider: "here".into(), id: "meta/llama:3b".into() };
    assert_eq!(model.served, Some(served));
    assert_eq!(demo().served, None);
}

#[test]
fn a_model_with_a_price_holds_an_amount_and_a_free_one_nothing() {
    let large = prices().model("host/large").unwrap();
    assert_eq!(
        (large.full_hold(), large.minimum_hold),
        (Credits::from_whole(200), Credits::from_whole(10))
    );
    assert_eq!(large.limited_by(), LimitedBy::Cost);
    assert_eq!(large.hold_for_input(10_000), Credits::from_whole(3));
    assert_eq!(large.longest_prompt(), Some(666_666));
    let small = prices().model("host/small").unwrap();
    assert_eq!(
        (small.full_hold(), small.minimum_hold),
        (Credits::from_whole(50), Credits::from_whole(5))
    );
    let free = prices().model("here/x").unwrap();
    assert_eq!((free.full_hold(), free.minimum_hold), (Credits::ZERO, Credits::ZERO));
    assert_eq!((free.limited_by(), free.longest_prompt()), (LimitedBy::Nothing, None));
    assert_eq!(free.hold_for_input(u64::MAX), Credits::ZERO);
}

#[test]
fn a_cache_has_its_own_price() {
    let mut used = usage(1, 1);
    used.cache_read_input_tokens = Some(10);
    used.cache_creation_input_tokens = Some(10);
    let charge = prices().model("host/large").unwrap().price.charge(&used);
    assert_eq!(charge.micros(), 300 + 1500 + 300 + 3750);
}

#[test]
fn numbers_beyond_reason_give_the_largest_amount_and_no_overflow() {
    let price =
        Price { input: 1_000_000_000_000, output: i64::MAX, cache_read: i64::MAX, cache_write: 0 };
    let mut used = usage(u64::MAX, u64::MAX);
    used.cache_read_input_tokens = Some(u64::MAX);
    assert_eq!(price.charge(&used).micros(), i64::MAX);
    assert_eq!(price.charge(&usage(0, 0)).micros(), 0);
}

proptest! {
    #[test]
    fn what_the_limits_allow_never_costs_more_than_the_hold(
        input in 0.0..MAX_PRICE, output in 0.0..MAX_PRICE,
        most_in in 1..MAX_TOKENS, most_out in 1..MAX_TOKENS, share in 0.0..=1.0,
    ) {
        let file = FILE
            .replace("input = 100\n", &format!("input = {input}\n"))
            .replace("output = 500\n", &format!("output = {output}\n"))
            .replace("max_input_tokens = 20_000", &format!("max_input_tokens = {most_in}"))
            .replace("max_output_tokens = 20_000", &format!("max_output_tokens = {most_out}"))
            .replace("minimum_hold = 1\n", "minimum_hold = 0\n");
        let model = Prices::parse(&file).unwrap().model("demo").unwrap();
        let full = model.full_hold();
        let hold = Credits::from_micros(((full.micros() as f64 * share) as i64).min(full.micros()));
        let (read, written) = model.token_limits(hold);
        prop_assert!(model.price.charge(&usage(read, written)) <= hold);
    }

    #[test]
    fn a_hold_for_a_prompt_lets_the_prompt_in(tokens in 0..20_000_u64) {
        let model = demo();
        prop_assert!(model.token_limits(model.hold_for_input(tokens)).0 >= tokens);
    }
}

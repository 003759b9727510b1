use std::sync::{Arc, LazyLock};

use futures::FutureExt;
use proptest::prelude::*;
use sandbox_sdk::types::TokenUsage;

use super::*;
use crate::models::provider::{Clients, Provider};

/// Made once: the clients of a provider take their time.
static MODEL: LazyLock<ChosenModel> = LazyLock::new(|| {
    let formats = vec![WireFormat::ChatCompletions];
    let clients = Clients::new().unwrap();
    let provider = Provider::own("custom", "http://127.0.0.1:1", None, formats, &clients);
    ChosenModel::new(provider.unwrap(), "m-1", None)
});

fn turn() -> OpenTurn {
    OpenTurn::new("box", "t1", MODEL.clone(), TurnLimits::default(), 60)
}

fn wanted(number: u8, input: u64) -> Wanted {
    Wanted {
        hash: [number; 32],
        input,
        usual: input,
        outline: Arc::default(),
        caches: input.is_multiple_of(2),
        reads_cache: true,
        max_output: Some(100),
        least_output: 16,
    }
}

/// Every figure of the sum is the sum of the figures.
fn adds_up(used: &Used) -> Result<(), TestCaseError> {
    let figures = |tokens: &TokenUsage| {
        [
            Some(tokens.input_tokens),
            Some(tokens.output_tokens),
            tokens.total_tokens,
            tokens.cache_read_input_tokens,
            tokens.cache_creation_input_tokens,
            tokens.reasoning_tokens,
        ]
        .map(Option::unwrap_or_default)
    };
    let mut sum = [0; 6];
    for request in &used.requests {
        let figures = figures(&request.token_usage);
        sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
    }
    prop_assert_eq!(sum, figures(&used.tokens));
    let told = used.tokens.extra.get("requests").and_then(serde_json::Value::as_u64);
    prop_assert_eq!(told.unwrap_or_default(), used.requests.len() as u64);
    let estimated = used.requests.iter().any(|request| request.estimated);
    prop_assert_eq!(used.tokens.extra.contains_key("estimated"), estimated);
    Ok(())
}

#[tokio::test]
async fn a_request_under_way_counts_as_what_its_like_usually_reads_and_holds_the_most() {
    let limits = TurnLimits { max_input_tokens: Some(1000), ..TurnLimits::default() };
    let turn = OpenTurn::new("box", "t1", MODEL.clone(), limits, 60);
    let wanted = |number, input| Wanted { usual: 600, ..wanted(number, input) };
    let format = WireFormat::ChatCompletions;
    // An even number of tokens is to be kept in a cache.
    let admitted = turn.admit(&wanted(1, 800), format).await.unwrap();
    let expected = Usage { cache_write: 600, ..Usage::default() };
    assert_eq!(admitted.expected, expected);
    // This is what is billed after a crash.
    let told = turn.usage.borrow().clone();
    assert_eq!(told.requests[0].token_usage, expected.to_wire());
    assert_eq!(told.tokens.cache_creation_input_tokens, Some(600));
    assert!(turn.admit(&wanted(2, 300), format).now_or_never().is_none(), "800 are held");
    let fits = turn.admit(&wanted(3, 200), format).now_or_never();
    assert!(fits.is_some_and(|admitted| admitted.is_ok()));
}

proptest! {
    #[test]
    fn the_tokens_of_the_requests_add_up_to_those_of_the_turn_at_every_moment(
        steps in proptest::collection::vec((any::<bool>(), 0_usize..4, any::<[u16; 5]>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let turn = turn();
            let mut told = turn.usage.subscribe();
            let (mut admitted, mut under_way) = (0, Vec::new());
            for (admits, which, [input, cache_read, cache_write, output, reasoning]) in steps {
                // More would have to wait for the pace.
                if admits && admitted < 10 {
                    let wanted = wanted(admitted, input.into());
                    under_way.push(turn.admit(&wanted, WireFormat::ChatCompletions).await.unwrap());
                    admitted += 1;
                } else if which < under_way.len() {
                    let usage = Usage {
                        input: input.into(),
                        cache_read: cache_read.into(),
                        cache_write: cache_write.into(),
                        output: output.into(),
                        reasoning: reasoning.into(),
                    };
                    let estimated = input.is_multiple_of(3);
                    let complete = !estimated;
                    let heard = [Heard::All, Heard::Read, Heard::Nothing][cache_read as usize % 3];
                    let metering = Metering { status: 200, usage, estimated, complete, heard };
                    turn.settle(&under_way.remove(which), metering, None);
                }
                adds_up(&told.borrow_and_update())?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

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
        outline: Arc::default(),
        caches: input.is_multiple_of(2),
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
                    let metering = Metering { status: 200, usage, estimated, complete: !estimated };
                    turn.settle(&under_way.remove(which), metering, None);
                }
                adds_up(&told.borrow_and_update())?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}

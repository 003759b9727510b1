//! What a turn has to cost, by the model server's own log.

use sandbox_sdk::types::TokenUsage;
use scripted_model::{Recorded, Usage};

use super::agent::Price;

/// Tokens that an answer surely took, and the most that it can have taken. They differ where the server
/// could not say it any more, because the answer had been broken off.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    pub(crate) least: Usage,
    pub(crate) most: Usage,
    /// Requests that the server has seen.
    pub(crate) requests: usize,
    /// Answers that did not come to their end.
    pub(crate) broken: usize,
}

impl Bill {
    /// Counts of tokens cost nothing and are left out.
    pub(crate) fn of(log: &[Recorded]) -> Self {
        let mut bill = Self::default();
        for request in log.iter().filter(|request| !request.path.ends_with("/count_tokens")) {
            bill.requests += 1;
            let (least, most) = match request.complete {
                true => (request.usage, request.usage),
                false => broken_off(request),
            };
            bill.broken += usize::from(!request.complete);
            add(&mut bill.least, least);
            add(&mut bill.most, most);
        }
        bill
    }

    /// Whether the usage is what the log says.
    pub(crate) fn allows(&self, usage: &TokenUsage) -> bool {
        let usage = Usage {
            input: usage.input_tokens,
            cache_read: usage.cache_read_input_tokens.unwrap_or(0),
            cache_write: usage.cache_creation_input_tokens.unwrap_or(0),
            output: usage.output_tokens,
        };
        let between = figures(&self.least).into_iter().zip(figures(&self.most));
        figures(&usage)
            .into_iter()
            .zip(between)
            .all(|(figure, (least, most))| (least..=most).contains(&figure))
    }
}

/// Of an answer that broke off counts what the server had told of it; else four bytes are a token, of
/// what it was sent and of what it had sent.
fn broken_off(request: &Recorded) -> (Usage, Usage) {
    let told = request.usage;
    let output = told.output.max(request.written.div_ceil(4));
    if told != Usage::default() {
        return (told, Usage { output, ..told });
    }
    // The gateway counts before it changes a little: it asks for usage, and takes tools out.
    let guess = request.size.div_ceil(4);
    let (least, most) = (guess - guess / 20, guess + guess / 20);
    (Usage { input: least, ..told }, Usage { input: most, output, ..told })
}

/// Micro-credits, rounded up once.
pub(crate) fn cost(usage: &TokenUsage, price: Price) -> i64 {
    let items = [
        (usage.input_tokens, price.input),
        (usage.cache_read_input_tokens.unwrap_or(0), price.cache_read),
        (usage.cache_creation_input_tokens.unwrap_or(0), price.cache_write),
        (usage.output_tokens, price.output),
    ];
    let sum: u64 = items.iter().map(|(tokens, price)| tokens * price).sum();
    i64::try_from(sum.div_ceil(1000)).unwrap()
}

fn add(sum: &mut Usage, more: Usage) {
    sum.input += more.input;
    sum.cache_read += more.cache_read;
    sum.cache_write += more.cache_write;
    sum.output += more.output;
}

fn figures(usage: &Usage) -> [u64; 4] {
    [usage.input, usage.cache_read, usage.cache_write, usage.output]
}

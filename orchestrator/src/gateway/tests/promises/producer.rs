//! Gives events to a session, and knows what it gave.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Counters, Plan, Random, server::Given, server::Server, session};

/// Events of a session have numbers of their own, so that one in the wrong session is noticed.
pub(super) const SPAN: u64 = 1_000_000;
/// Largest of the small ones, and of the large ones, in bytes.
const SIZES: [u64; 2] = [300, 40_000];

/// What stands under 1, 2, 3, … in the session's log.
pub(super) async fn run(
    server: Server,
    index: u64,
    plan: Plan,
    mut random: Random,
    counters: Arc<Counters>,
) -> Result<(u64, Vec<u64>), String> {
    let name = session(index);
    let mut list: Vec<u64> = Vec::new();
    while (list.len() as u64) < plan.events {
        let known = list.len() as u64;
        let count = (1 + random.below(5)).min(plan.events - known);
        let numbers: Vec<u64> = (known..known + count).map(|at| index * SPAN + at).collect();
        let mut size = || {
            let large = random.below(50) == 0;
            random.below(SIZES[usize::from(large)]) as usize
        };
        let sizes = numbers.iter().map(|_| size()).collect();
        let given = Given { numbers, sizes };
        give(&server, &name, known, &given).await?;
        list.extend(&given.numbers);
        counters.given.fetch_add(count, Relaxed);
    }
    Ok((index, list))
}

/// Gives them until they are taken, once. `known`: how many stand in the log already.
async fn give(server: &Server, name: &str, known: u64, given: &Given) -> Result<(), String> {
    let count = given.numbers.len() as u64;
    loop {
        if let Some(first) = server.append(name, given).await {
            return match first.checked_sub(known + 1) {
                Some(0) => Ok(()),
                Some(_) => Err(format!("{name}: number {first} after {known}")),
                None => Err(format!("{name}: acknowledged events are gone: {first} after {known}")),
            };
        }
        // Nobody knows whether it was taken, until the log is asked.
        match server.head(name).await {
            head if head == known + count => return Ok(()),
            head if head == known => {}
            head if head < known => {
                return Err(format!("{name}: acknowledged events are gone: {head} of {known}"));
            }
            head => return Err(format!("{name}: a part of what belongs together: {head}")),
        }
    }
}

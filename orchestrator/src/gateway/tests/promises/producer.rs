//! Gives events to a session, and knows what it gave.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    Counters, Plan, Random,
    server::{Answer, Given, Server},
    session,
};

/// Events of a session have numbers of their own, so that one in the wrong session is noticed …
pub(super) const SPAN: u64 = 1_000_000_000_000;
/// … and so have those that are given anew because a full disk did not take the first ones.
const TRY: u64 = 1_000_000;
/// Pause before that.
const PAUSE: Duration = Duration::from_millis(20);
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
    let mut refusals = 0;
    while (list.len() as u64) < plan.events {
        let known = list.len() as u64;
        let count = (1 + random.below(5)).min(plan.events - known);
        let begin = index * SPAN + refusals * TRY;
        let numbers: Vec<u64> = (known..known + count).map(|at| begin + at).collect();
        let mut size = || {
            let large = random.below(50) == 0;
            random.below(SIZES[usize::from(large)]) as usize
        };
        let sizes = numbers.iter().map(|_| size()).collect();
        let given = Given { numbers, sizes };
        if !give(&server, &name, known, &given).await? {
            refusals += 1;
            counters.refused.fetch_add(1, Relaxed);
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        list.extend(&given.numbers);
        counters.given.fetch_add(count, Relaxed);
    }
    Ok((index, list))
}

/// Gives them until they are taken, once, or refused (`false`). `known`: how many stand in the log already.
async fn give(server: &Server, name: &str, known: u64, given: &Given) -> Result<bool, String> {
    let count = given.numbers.len() as u64;
    loop {
        match server.append(name, given).await {
            Answer::First(first) => {
                return match first.checked_sub(known + 1) {
                    Some(0) => Ok(true),
                    Some(_) => Err(format!("{name}: number {first} after {known}")),
                    None => {
                        Err(format!("{name}: acknowledged events are gone: {first} after {known}"))
                    }
                };
            }
            Answer::NoRoom => {
                return match server.head(name).await {
                    head if head == known => Ok(false),
                    head => Err(format!("{name}: refused, but {head} stand after {known}")),
                };
            }
            Answer::Failed(words) => return Err(format!("{name}: {words}")),
            Answer::None => {}
        }
        // Nobody knows whether it was taken, until the log is asked.
        match server.head(name).await {
            head if head == known + count => return Ok(true),
            head if head == known => {}
            head if head < known => {
                return Err(format!("{name}: acknowledged events are gone: {head} of {known}"));
            }
            head => return Err(format!("{name}: a part of what belongs together: {head}")),
        }
    }
}

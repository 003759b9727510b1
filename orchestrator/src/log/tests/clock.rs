//! What a wall clock that is set does to a log: nothing but to its dates.

use super::{Bench, event, read_all};
use crate::clock::TestClock;

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn numbers_cursors_and_the_epoch_know_nothing_of_a_clock_that_is_set_to_and_fro() {
    let clock = TestClock;
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::open(dir.path()).await;
    let epoch = bench.logs.epoch().to_owned();
    let mut given: Vec<(u64, u64)> = Vec::new();
    let hours = [0, 1, -1, 0, -1, 1, 0];
    for (round, ahead) in hours.into_iter().enumerate() {
        let log = bench.session("s", "u").await;
        let known = given.len();
        let mut live = bench.logs.cursor(log.clone(), known as u64);
        // Between two appends as well as between two runs.
        for (part, ahead) in [ahead, -ahead, ahead].into_iter().enumerate() {
            clock.set_by(ahead * HOUR_MS);
            let number = round * 10 + part;
            let (first, last) = bench.append(&log, vec![event(number, 10); 2]).await;
            assert_eq!((first, last), (given.len() as u64 + 1, given.len() as u64 + 2));
            given.extend([(first, number as u64), (last, number as u64)]);
        }
        assert_eq!(read_all(&mut live, 100).await, given[known..], "from where it stood");
        let mut whole = bench.logs.cursor(log.clone(), 0);
        assert_eq!(read_all(&mut whole, 1000).await, given);
        drop((live, whole, log));
        // In order, or as a killed process leaves it.
        bench.close(round % 2 == 0).await;
        bench = Bench::open(dir.path()).await;
        assert_eq!(bench.logs.epoch(), epoch);
    }
    let log = bench.session("s", "u").await;
    let rows = bench.store.events(log.key().unwrap(), 0, u64::MAX, usize::MAX).await.unwrap();
    let steps: Vec<_> = rows.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    let back = steps.iter().filter(|step| **step < -HOUR_MS / 2).count();
    let forth = steps.iter().filter(|step| **step > HOUR_MS / 2).count();
    assert!(back > 3 && forth > 3, "the clock was not set: {steps:?}");
}

//! The trace that work belongs to. What a request has begun goes on in the orchestrator, also when the
//! work outlives the request.

use std::future::Future;

use aws_lc_rs::rand;
pub use sandbox_sdk::types::TraceParent;
use tracing::Instrument;

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// Begins a trace that is to be recorded with this probability, from 0 to 1. `None`: there is no
/// randomness to name it by.
pub fn begin_trace(share: f64) -> Option<TraceParent> {
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    rand::fill(&mut trace).and_then(|()| rand::fill(&mut span)).ok()?;
    let trace = u128::from_be_bytes(trace);
    // By the last 63 bits of the id, as other programs decide it, so that all decide alike.
    let bound = (share.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
    TraceParent::new(trace, u64::from_be_bytes(span), (trace as u64) >> 1 < bound)
}

/// Does work whose calls to the orchestrator belong to a trace, with what goes on in the background
/// after it.
pub async fn in_trace<T>(trace: TraceParent, work: impl Future<Output = T>) -> T {
    CURRENT.scope(trace, work).await
}

/// The trace of the work that asks.
pub(crate) fn current() -> Option<TraceParent> {
    CURRENT.try_with(|trace| *trace).ok()
}

/// The same work for another task, in the trace and the span of this one.
pub(crate) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let trace = current();
    let work = async move {
        match trace {
            Some(trace) => in_trace(trace, work).await,
            None => work.await,
        }
    };
    work.in_current_span()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_another_task_belongs_to_the_trace_it_came_from() {
        let trace = begin_trace(1.0).unwrap();
        let carry = || tokio::spawn(carried(async { current() }));
        assert_eq!(in_trace(trace, async { carry().await.unwrap() }).await, Some(trace));
        assert_eq!(carry().await.unwrap(), None);
    }

    #[test]
    fn a_share_of_the_traces_is_recorded() {
        let recorded = |share| {
            (0..1000).filter(|_| begin_trace(share).is_some_and(TraceParent::is_sampled)).count()
        };
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 1000));
        // Chance alone leaves these bounds less than once in a billion runs.
        assert!((400..600).contains(&recorded(0.5)));
        assert_ne!(begin_trace(1.0), begin_trace(1.0));
    }
}

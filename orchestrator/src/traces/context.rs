//! Which trace a span belongs to, and whether that trace is sent.

use sandbox_sdk::types::TraceParent;

/// The place of a span among all traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanContext {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) sampled: bool,
}

/// Decides on traces that begin here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler {
    /// Ids below are sent.
    bound: u64,
}

impl Sampler {
    /// `share`: from 0 to 1.
    pub(super) fn new(share: f64) -> Self {
        // Of the last 63 bits of an id, as other programs decide it, so that all decide alike.
        Self { bound: (share.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64 }
    }

    fn takes(self, trace: [u8; 16]) -> bool {
        u128::from_be_bytes(trace) as u64 >> 1 < self.bound
    }
}

impl SpanContext {
    /// Of a new span that belongs to the parent's trace, or begins one.
    pub(super) fn below(parent: Option<Self>, sampler: Sampler) -> Self {
        let span = random();
        if let Some(parent) = parent {
            return Self { span, ..parent };
        }
        let trace = random();
        Self { trace, span, sampled: sampler.takes(trace) }
    }

    /// Reads a `traceparent` header. What is not one is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parent: TraceParent = text.parse().ok()?;
        Some(Self {
            trace: parent.trace().to_be_bytes(),
            span: parent.span().to_be_bytes(),
            sampled: parent.is_sampled(),
        })
    }
}

/// A random id. Without randomness it is the invalid one, which collectors refuse.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return [0; N];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_callers_trace_goes_on_and_what_is_none_does_not() {
        let parent = SpanContext::parse(PARENT).unwrap();
        assert!(parent.sampled);
        let span = SpanContext::below(Some(parent), Sampler::new(0.0));
        assert_eq!((span.trace, span.sampled), (parent.trace, true));
        assert_ne!(span.span, parent.span);
        let unsampled = SpanContext::parse(&PARENT.replace("-01", "-00")).unwrap();
        assert!(!SpanContext::below(Some(unsampled), Sampler::new(1.0)).sampled);
        for wrong in [
            "",
            "00",
            &PARENT.replace("00-", "ff-"),
            &PARENT.to_uppercase(),
            &PARENT.replace("-01", "-1"),
            &PARENT.replace("-01", "-01-x"),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &PARENT.replace("b7ad6b7169203331", "b7ad6b716920333ä"),
        ] {
            assert_eq!(SpanContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_share_of_the_traces_is_taken() {
        let taken = |share: f64| {
            let sampler = Sampler::new(share);
            (0..1000).filter(|_| SpanContext::below(None, sampler).sampled).count()
        };
        assert_eq!((taken(0.0), taken(1.0)), (0, 1000));
        // Chance alone leaves these bounds less than once in a billion runs.
        assert!((400..600).contains(&taken(0.5)));
    }
}

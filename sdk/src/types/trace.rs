//! Which trace a request belongs to, as W3C Trace Context writes it.

use std::{fmt, str::FromStr};

/// Value of the header `traceparent`, version 00: a trace, the caller's place in it, and whether the
/// caller has the trace recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// A text is no `traceparent` that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be like 00-<32 hexadecimal digits>-<16>-01, in lower case and not all zero")]
pub struct NoTraceParent;

impl TraceParent {
    /// Name of the header.
    pub const HEADER: &str = "traceparent";

    /// `None` when one of the ids is zero, which is the id of nothing.
    pub fn new(trace: u128, span: u64, sampled: bool) -> Option<Self> {
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled })
    }

    /// The trace; in texts 32 hexadecimal digits.
    pub fn trace(self) -> u128 {
        self.trace
    }

    /// The caller's span in it; in texts 16 hexadecimal digits.
    pub fn span(self) -> u64 {
        self.span
    }

    /// Whether the caller has the trace recorded, and so who is called should.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Of the flags only whether it is sampled is kept.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut fields = text.split('-');
        let mut field = |digits| number(fields.next().unwrap_or_default(), digits);
        let (version, trace, span, flags) = (field(2), field(32), field(16), field(2));
        let (Some(0), Some(trace), Some(span), Some(flags), None) =
            (version, trace, span, flags, fields.next())
        else {
            return Err(NoTraceParent);
        };
        let span = u64::try_from(span).map_err(|_| NoTraceParent)?;
        Self::new(trace, span, flags & 1 == 1).ok_or(NoTraceParent)
    }
}

/// So many hexadecimal digits in lower case, and nothing else.
fn number(text: &str, digits: usize) -> Option<u128> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let number = || u128::from_str_radix(text, 16).ok();
    (text.len() == digits && is_plain).then(number).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_written_is_what_was_read() {
        let parent: TraceParent = TEXT.parse().unwrap();
        assert_eq!(parent.trace(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((parent.span(), parent.is_sampled()), (0xb7ad_6b71_6920_3331, true));
        assert_eq!(parent.to_string(), TEXT);
        let small = TraceParent::new(1, 2, false).unwrap();
        let expected = format!("00-{}1-{}2-00", "0".repeat(31), "0".repeat(15));
        assert_eq!(small.to_string(), expected);
        assert_eq!(expected.parse::<TraceParent>(), Ok(small));
        // Flags that are not known yet say nothing.
        let flags = TEXT.replace("-01", "-fe").parse::<TraceParent>().unwrap();
        assert!(!flags.is_sampled());
    }

    #[test]
    fn what_is_none_is_refused() {
        assert_eq!(TraceParent::new(0, 1, true), None);
        assert_eq!(TraceParent::new(1, 0, true), None);
        for wrong in [
            "",
            "00",
            &TEXT.replace("00-", "ff-"),
            &TEXT.to_uppercase(),
            &TEXT.replace("-01", "-1"),
            &TEXT.replace("-01", "-01-"),
            &TEXT.replace("-01", "-+1"),
            &TEXT.replace("0af7", "+af7"),
            &TEXT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &TEXT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &TEXT.replace("b7ad6b7169203331", "b7ad6b716920333ä"),
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(NoTraceParent), "{wrong}");
        }
    }
}

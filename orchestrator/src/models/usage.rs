//! What a request used, read from the provider's own answer while it passes.
//!
//! Providers count differently: some have cached tokens inside of the input, some beside it. Here
//! every figure is counted once. When an answer breaks off before the figures came, what passed is
//! counted instead, four bytes to a token, and the record says so.

mod chat_completions;
mod messages;
mod responses;

use sandbox_sdk::types::{TokenUsage, WireFormat};

const BYTES_PER_TOKEN: u64 = 4;
/// Longest answer in one piece that is read. A longer one is passed on and estimated.
const MAX_BODY: usize = 16 << 20;

/// Tokens of a request, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Read, and neither from a cache nor into it.
    pub(crate) input: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    /// Written, what was thought included.
    pub(crate) output: u64,
    /// Of the output, what was thought, where the provider tells.
    pub(crate) reasoning: u64,
}

impl Usage {
    /// All that was read, wherever from.
    pub(crate) fn read(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.input, other.input),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.output, other.output),
            (&mut self.reasoning, other.reasoning),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// As the wire has it.
    pub(crate) fn to_wire(self) -> TokenUsage {
        let some = |figure: u64| (figure > 0).then_some(figure);
        TokenUsage {
            input_tokens: self.input,
            output_tokens: self.output,
            total_tokens: Some(self.read().saturating_add(self.output)),
            cache_read_input_tokens: some(self.cache_read),
            cache_creation_input_tokens: some(self.cache_write),
            reasoning_tokens: some(self.reasoning),
            ..TokenUsage::default()
        }
    }
}

/// What an answer said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The figures, as far as they came.
    usage: Option<Usage>,
    /// The figures are the last ones.
    is_final: bool,
    /// Bytes of text, reasoning and tool input that passed.
    written: u64,
    /// The answer came to its end.
    ended: bool,
    /// The provider failed in the middle of the answer, in its words.
    failure: Option<String>,
}

/// What is known of a request once its answer is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) usage: Usage,
    /// The provider's figures never came, so these are counted from what passed.
    pub(super) estimated: bool,
    /// What was read is the provider's figure.
    pub(super) has_read: bool,
    /// The answer came to its end.
    pub(super) complete: bool,
    pub(super) failure: Option<String>,
}

/// Reads an answer as it passes, without holding it up.
#[derive(Debug)]
pub(super) struct UsageReader {
    format: WireFormat,
    streamed: bool,
    /// A line that is not complete yet, or the body.
    buffer: Vec<u8>,
    /// The line, or the body, is longer than what is read.
    overflowed: bool,
    passed: u64,
    seen: Seen,
}

impl UsageReader {
    /// A reader for an answer that comes as server-sent events, or else in one piece.
    pub(super) fn new(format: WireFormat, streamed: bool) -> Self {
        Self {
            format,
            streamed,
            buffer: Vec::new(),
            overflowed: false,
            passed: 0,
            seen: Seen::default(),
        }
    }

    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        self.passed = self.passed.saturating_add(bytes.len() as u64);
        if !self.streamed {
            self.keep(bytes, MAX_BODY);
            return;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at(end);
            self.line(line);
            bytes = &rest[1..];
        }
        self.keep(bytes, self.longest_line());
    }

    /// Only the Responses format repeats the whole answer in its last event; elsewhere a long line
    /// would be made to cost memory.
    fn longest_line(&self) -> usize {
        if self.format == WireFormat::Responses { 8 << 20 } else { 1 << 20 }
    }

    fn keep(&mut self, bytes: &[u8], most: usize) {
        self.overflowed |= self.buffer.len() + bytes.len() > most;
        if self.overflowed {
            self.buffer = Vec::new();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn line(&mut self, end: &[u8]) {
        let overflowed = std::mem::take(&mut self.overflowed);
        let kept;
        let line = if self.buffer.is_empty() && !overflowed {
            end
        } else {
            self.keep(end, self.longest_line());
            kept = std::mem::take(&mut self.buffer);
            if std::mem::take(&mut self.overflowed) || overflowed {
                return;
            }
            &kept
        };
        if let Some(data) = line.strip_prefix(b"data:") {
            self.event(data.trim_ascii());
        }
    }

    fn event(&mut self, data: &[u8]) {
        match self.format {
            WireFormat::Messages => messages::event(data, &mut self.seen),
            WireFormat::Responses => responses::event(data, &mut self.seen),
            WireFormat::ChatCompletions => chat_completions::event(data, &mut self.seen),
        }
    }

    /// What the answer used. `whole`: the connection was not cut. `expected`: what the request probably
    /// read, for when the provider did not tell.
    pub(super) fn finish(mut self, whole: bool, expected: Usage) -> Reading {
        if self.streamed {
            // A last line may come without its end.
            self.line(b"");
        } else if whole && !self.overflowed {
            let body = std::mem::take(&mut self.buffer);
            match self.format {
                WireFormat::Messages => messages::body(&body, &mut self.seen),
                WireFormat::Responses => responses::body(&body, &mut self.seen),
                WireFormat::ChatCompletions => chat_completions::body(&body, &mut self.seen),
            }
        }
        let written = if self.streamed { self.seen.written } else { self.passed };
        let complete = whole && (self.seen.ended || !self.streamed);
        let Seen { usage, is_final, failure, .. } = self.seen;
        let estimate = written.div_ceil(BYTES_PER_TOKEN);
        let has_read = usage.is_some();
        let (usage, estimated) = match usage {
            Some(usage) if is_final => (usage, false),
            Some(begun) => (Usage { output: begun.output.max(estimate), ..begun }, true),
            // A provider that refused in its first event has read nothing.
            None if failure.is_some() && written == 0 => (Usage::default(), false),
            None => (Usage { output: estimate, ..expected }, true),
        };
        Reading { usage, estimated, has_read, complete, failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Usage =
        Usage { input: 100, cache_read: 0, cache_write: 0, output: 0, reasoning: 0 };

    pub(super) fn read(format: WireFormat, stream: &str, whole: bool) -> Reading {
        let mut reader = UsageReader::new(format, true);
        reader.take(stream.as_bytes());
        let reading = reader.finish(whole, EXPECTED);
        // However the network cuts it, it says the same.
        for size in [1, 7, 64] {
            let mut reader = UsageReader::new(format, true);
            stream.as_bytes().chunks(size).for_each(|chunk| reader.take(chunk));
            assert_eq!(reader.finish(whole, EXPECTED), reading);
        }
        reading
    }

    pub(super) fn read_body(format: WireFormat, body: &str) -> Reading {
        let mut reader = UsageReader::new(format, false);
        body.as_bytes().chunks(5).for_each(|chunk| reader.take(chunk));
        reader.finish(true, EXPECTED)
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_the_next_one_is_read() {
        let mut reader = UsageReader::new(WireFormat::ChatCompletions, true);
        for _ in 0..64 {
            reader.take(&[b'x'; 64 * 1024]);
            assert!(reader.buffer.capacity() <= 4 << 20, "{}", reader.buffer.capacity());
        }
        reader.take(b"\ndata: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n");
        reader.take(b"data: [DONE]\n\n");
        let reading = reader.finish(true, EXPECTED);
        assert_eq!((reading.usage.input, reading.usage.output), (3, 4));
        assert!(!reading.estimated);
    }

    #[test]
    fn an_answer_too_long_to_read_is_estimated() {
        let mut reader = UsageReader::new(WireFormat::Messages, false);
        for _ in 0..300 {
            reader.take(&[b' '; 64 * 1024]);
        }
        assert!(reader.buffer.capacity() <= MAX_BODY);
        let reading = reader.finish(true, EXPECTED);
        assert!(reading.estimated);
        assert_eq!(reading.usage.output, 300 * 64 * 1024 / 4);
    }
}

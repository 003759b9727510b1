//! The end of what a terminal showed, for whoever comes later or reads more slowly.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes kept of one terminal.
const KEPT: usize = 512 << 10;
/// Most that is read at once.
const PIECE: usize = 16 << 10;
/// How far the end of a line is looked for.
const LINE: usize = 4 << 10;

/// Bytes are counted from the terminal's first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: VecDeque<u8>,
    /// How many were dropped before these.
    start: u64,
}

impl Backlog {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..surplus);
        self.start += surplus as u64;
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Whether a reader at this place is about to lose what it has not read.
    pub(super) fn is_far_behind(&self, at: u64) -> bool {
        self.end().saturating_sub(at) > KEPT as u64 / 2
    }

    /// Where a new reader starts: after a line, so that neither a character nor a control sequence
    /// is cut; or at least not within a character.
    pub(super) fn beginning(&self) -> u64 {
        if self.start == 0 {
            return 0;
        }
        let mut near = self.bytes.iter().take(LINE);
        let line = near.position(|byte| *byte == b'\n').map(|end| end + 1);
        let character = || self.bytes.iter().position(|byte| byte & 0xc0 != 0x80);
        self.start + line.or_else(character).unwrap_or(0) as u64
    }

    /// What comes after a place, as far as it fits; empty at the end. `None`: it was dropped.
    pub(super) fn read(&self, at: u64) -> Option<Bytes> {
        let skipped = usize::try_from(at.checked_sub(self.start)?).ok()?;
        Some(self.bytes.iter().skip(skipped).take(PIECE).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything(backlog: &Backlog, mut at: u64) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = backlog.read(at).unwrap();
            if piece.is_empty() {
                return all;
            }
            at += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
    }

    #[test]
    fn a_reader_gets_all_that_is_kept_in_pieces() {
        let mut backlog = Backlog::default();
        let text: Vec<u8> = (0..PIECE * 3 + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
        text.chunks(1000).for_each(|chunk| backlog.push(chunk));
        assert_eq!(everything(&backlog, backlog.beginning()), text);
        assert_eq!(backlog.end(), text.len() as u64);
    }

    #[test]
    fn memory_is_bounded_and_whoever_is_too_late_is_told() {
        let mut backlog = Backlog::default();
        for _ in 0..100 {
            backlog.push(&[b'y'; PIECE]);
        }
        assert_eq!(backlog.bytes.len(), KEPT);
        assert!(backlog.read(0).is_none() && backlog.is_far_behind(0));
        assert!(!backlog.is_far_behind(backlog.end()));
    }

    #[test]
    fn a_new_reader_starts_after_a_line_or_at_a_character() {
        let mut backlog = Backlog::default();
        backlog.push("x\r\n".repeat(KEPT).as_bytes());
        backlog.push(b"end");
        let all = everything(&backlog, backlog.beginning());
        assert!(all.starts_with(b"x\r\n") && all.ends_with(b"end"));
        let mut backlog = Backlog::default();
        backlog.push("€".repeat(KEPT).as_bytes());
        assert!(std::str::from_utf8(&everything(&backlog, backlog.beginning())).is_ok());
    }
}

//! Server-sent events, of which only the data matters here.

use super::Failure;

/// Longest event. A provider sends pieces; only a broken one sends more.
const MAX_EVENT: usize = 8 << 20;

/// Takes bytes as they come, gives events as they are complete.
#[derive(Debug, Default)]
pub(super) struct Events {
    buffer: Vec<u8>,
    /// Up to here there is no end of a line.
    searched: usize,
    data: Option<String>,
}

impl Events {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let held = self.buffer.len() + self.data.as_ref().map_or(0, String::len);
        if held + bytes.len() > MAX_EVENT {
            return Err(Failure::Broken("a piece of the answer was too large".into()));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Data of the next event.
    pub(super) fn next(&mut self) -> Option<String> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let mut line: Vec<u8> = self.buffer.drain(..=self.searched + end).collect();
            self.searched = 0;
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.is_empty() {
                match self.data.take() {
                    Some(data) if !data.is_empty() => return Some(data),
                    _ => continue,
                }
            }
            let Some(value) = line.strip_prefix(b"data:") else { continue };
            let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(&value);
                }
                None => self.data = Some(value.into_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_however_the_bytes_were_cut() {
        let text = "event: a\r\ndata: {\"x\":\"ä\"}\r\n\r\n: ping\n\ndata: one\ndata: two\n\ndata:[DONE]\n\n";
        for size in 1..text.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            for bytes in text.as_bytes().chunks(size) {
                events.push(bytes).unwrap();
                found.extend(std::iter::from_fn(|| events.next()));
            }
            assert_eq!(found, ["{\"x\":\"ä\"}", "one\ntwo", "[DONE]"], "{size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_collected_for_ever() {
        let mut events = Events::default();
        let piece = vec![b'x'; 1 << 20];
        let pushed = (0..9).map(|_| events.push(&piece)).collect::<Result<Vec<_>, _>>();
        assert!(matches!(pushed, Err(Failure::Broken(_))));
    }
}

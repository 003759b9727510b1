//! Parser of server-sent events.
//!
//! Lines may end with LF, CRLF or CR, data may take several lines, and chunks may be cut anywhere, in the
//! middle of a character too. An event counts once the blank line after it is there: what a cut stream
//! leaves unfinished comes again from the cursor.

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Value of `event:`; empty when there was none.
    pub event: String,
    /// The `data:` lines, joined with line feeds.
    pub data: String,
    /// The last `id:` up to and including this event.
    pub id: Option<String>,
}

/// Puts events together from the chunks of a stream.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    after_cr: bool,
    first_line_done: bool,
    event: String,
    data: Option<String>,
    id: Option<String>,
}

/// An event grew beyond what is kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {max} bytes", max = SseParser::MAX_EVENT_BYTES)]
pub struct EventTooLarge;

impl SseParser {
    /// Largest event that is accepted.
    pub const MAX_EVENT_BYTES: usize = 16 << 20;

    /// Takes the next chunk and gives the events it completes.
    ///
    /// # Errors
    /// When an event is too large. The stream is of no more use then.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<SseEvent>, EventTooLarge> {
        let mut events = Vec::new();
        let mut rest = chunk;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.line.extend_from_slice(rest);
                break;
            };
            self.line.extend_from_slice(&rest[..end]);
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held > Self::MAX_EVENT_BYTES { Err(EventTooLarge) } else { Ok(events) }
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let mut line = line.as_ref();
        if !std::mem::replace(&mut self.first_line_done, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = self.data.take()?;
            return Some(SseEvent { event, data, id: self.id.clone() });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment (empty field), `retry`, or something later.
            _ => {}
        }
        None
    }
}

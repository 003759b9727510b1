//! Frames of server-sent events, as the strictest reader wants them.
//!
//! `event:` and one line of `data:`, with one space each, LF at the ends of lines and a blank line
//! after. A frame is one piece of a body, so that it goes out in one write.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

/// How long a stream may say nothing before it says that it is still there.
pub(super) const QUIET: Duration = Duration::from_secs(15);
/// A comment, which every reader passes over.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": still here\n\n");

/// One event. `name` is one of ours: it holds no line break.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    // JSON without line breaks. Nothing that is sent here can fail to become JSON.
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn whatever_the_data_holds_a_frame_is_two_lines() {
        let data = json!({"data": "a\nb\r\nc\u{2028}d\u{0}: e\n\nevent: exit\ndata: {}"});
        let frame = event("stdout", &data);
        let text = std::str::from_utf8(&frame).unwrap();
        let lines: Vec<_> = text.split('\n').collect();
        let ["event: stdout", line, "", ""] = lines[..] else { panic!("{lines:?}") };
        let read: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(read, data);
        assert!(!text.contains('\r'));
    }

    #[test]
    fn a_sign_of_life_is_a_comment_of_its_own() {
        assert!(KEEP_ALIVE.starts_with(b":") && KEEP_ALIVE.ends_with(b"\n\n"));
    }
}

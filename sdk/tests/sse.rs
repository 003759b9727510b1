//! The parser of server-sent events: what it reads does not depend on how the bytes were cut.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sandbox_sdk::client::{SseEvent, SseParser};

fn parse(text: &str) -> Vec<SseEvent> {
    SseParser::default().push(text.as_bytes()).unwrap()
}

fn event(event: &str, data: &str, id: Option<&str>) -> SseEvent {
    SseEvent { event: event.into(), data: data.into(), id: id.map(str::to_owned) }
}

#[test]
fn lines_may_end_with_lf_crlf_or_cr() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["event: a", "id: 1", "data: x", "", "data: y", "", ""].join(end);
        assert_eq!(parse(&text), [event("a", "x", Some("1")), event("", "y", Some("1"))]);
    }
}

#[test]
fn data_on_several_lines_is_joined() {
    assert_eq!(parse("data: a\ndata:\ndata:b\n\n"), [event("", "a\n\nb", None)]);
}

#[test]
fn one_space_after_the_colon_is_not_part_of_the_value() {
    assert_eq!(parse("data:  a\n\ndata:b\n\n"), [event("", " a", None), event("", "b", None)]);
}

#[test]
fn comments_unknown_fields_and_events_without_data_give_nothing() {
    assert_eq!(
        parse(": ping\n\nretry: 5\nx: y\n\nevent: lonely\n\ndata: a\n\n"),
        [event("", "a", None)]
    );
}

#[test]
fn an_event_counts_only_once_its_blank_line_is_there() {
    assert_eq!(parse("data: a\n"), []);
}

#[test]
fn a_byte_order_mark_and_a_nul_in_an_id_do_no_harm() {
    assert_eq!(parse("\u{feff}data: a\nid: 1\0\n\n"), [event("", "a", None)]);
}

#[test]
fn an_endless_event_is_refused() {
    let mut parser = SseParser::default();
    let chunk = vec![b'x'; 1 << 20];
    assert!((0..20).any(|_| parser.push(&chunk).is_err()));
    let mut parser = SseParser::default();
    let line = format!("data: {}\n", "x".repeat(1 << 20));
    assert!((0..20).any(|_| parser.push(line.as_bytes()).is_err()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_into_chunks_gives_the_same_events(
        events in prop::collection::vec(("[a-z.]{0,8}", "[^\r\n\0]{0,20}", 0_u32..999), 0..8),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        cuts in prop::collection::vec(0.0..1.0_f64, 0..40),
    ) {
        let mut text = String::new();
        let mut expected = Vec::new();
        for (kind, data, id) in &events {
            text += &format!("event: {kind}{line_end}id: {id}{line_end}data: {data}{line_end}{line_end}");
            expected.push(event(kind, data, Some(&id.to_string())));
        }
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| (cut * bytes.len() as f64) as usize).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut parser = SseParser::default();
        let mut read = Vec::new();
        for cut in cuts.windows(2) {
            read.extend(parser.push(&bytes[cut[0]..cut[1]]).unwrap());
        }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn no_bytes_at_all_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(SseParser::default().push(&bytes).is_ok());
    }
}

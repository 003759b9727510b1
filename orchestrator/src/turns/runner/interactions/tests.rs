use sandbox_sdk::types::EventBody;
use serde_json::json;

use super::*;
use crate::turns::ingest::Names;

fn progress() -> Progress {
    Progress::new(Names::new("s", "t"), None, inquiries(Posture::default()).0)
}

fn permission(number: usize) -> InteractionAsked {
    let request = json!({"id": format!("int_t_{number}"), "kind": "permission", "title": "May I?",
        "answerSpec": {"fields": [{"key": "grant", "kind": "select", "options": []}]},
        "allowedOutcomes": ["accepted"]});
    let request = serde_json::from_value(request).unwrap();
    let (session_id, message_id) = ("s".into(), "msg_t".into());
    InteractionAsked { request, session_id, message_id, extra: Extra::new() }
}

fn reason_of(event: &Event) -> Option<String> {
    match event.body() {
        EventBody::InteractionCancelled(cancelled) => cancelled.reason,
        other => panic!("{other:?}"),
    }
}

fn granted(number: usize) -> InteractionCancelled {
    let reason = Some(cancel_reason::GRANTED.to_owned());
    InteractionCancelled { id: format!("int_t_{number}"), reason, extra: Extra::new() }
}

#[test]
fn what_no_person_gets_to_see_is_refused_and_not_forgotten() {
    let mut progress = progress();
    let mut events = Vec::new();
    for number in 0..MAX_OPEN + MAX_REFUSED + 5 {
        progress.take_request(permission(number), &mut events);
    }
    // Of what stands open already, nothing is said twice.
    progress.take_request(permission(0), &mut events);
    assert_eq!(events.len(), MAX_OPEN);
    let refused = &progress.inquiries.refused;
    assert_eq!(refused.len(), MAX_REFUSED);
    assert_eq!(refused[0].0, format!("int_t_{MAX_OPEN}"));
    let ends = progress.exceeded.unwrap();
    assert_eq!(ends.error.unwrap().code.as_deref(), Some("TURN_TOO_LARGE"));
}

#[test]
fn only_a_persons_answer_allows_what_else_was_asked() {
    let mut progress = progress();
    let mut events = Vec::new();
    (0..3).for_each(|number| progress.take_request(permission(number), &mut events));
    events.clear();
    progress.take_cancel(granted(0), &mut events);
    assert_eq!(reason_of(&events[0]).as_deref(), Some(cancel_reason::WITHDRAWN));

    let answered = |asked: InteractionAsked, outcome, progress: &mut Progress| {
        let data = Extra::from_iter([(grant::FIELD.to_owned(), grant::ALLOW_SESSION.into())]);
        let answer = InteractionAnswer { id: asked.request.id.clone(), outcome, data };
        progress.inquiries.take(&asked.request, answer);
    };
    let question = |number| {
        let mut asked = permission(number);
        asked.request.kind = InteractionKind::Question;
        asked
    };
    // Neither a no nor another kind of answer allows anything.
    answered(permission(1), Outcome::Declined, &mut progress);
    answered(question(1), Outcome::Accepted, &mut progress);
    progress.take_cancel(granted(1), &mut events);
    assert_eq!(reason_of(&events[1]).as_deref(), Some(cancel_reason::WITHDRAWN));

    answered(permission(1), Outcome::Accepted, &mut progress);
    let mut network = permission(3);
    network.request.title = "Use the network".into();
    progress.take_request(network, &mut events);
    progress.take_request(question(4), &mut events);
    events.clear();
    (2..5).for_each(|number| progress.take_cancel(granted(number), &mut events));
    let reasons: Vec<_> = events.iter().map(|event| reason_of(event).unwrap()).collect();
    use cancel_reason::{GRANTED, WITHDRAWN};
    assert_eq!(reasons, [GRANTED, WITHDRAWN, WITHDRAWN]);
}

#[test]
fn what_is_switched_off_is_answered_in_words_and_shown_to_nobody() {
    let posture = Extra::from_iter([("interactions".to_owned(), json!({"permission": false}))]);
    let posture = Posture::read(&posture).unwrap();
    let mut progress = Progress::new(Names::new("s", "t"), None, inquiries(posture).0);
    let mut events = Vec::new();
    // Many more than may be open at once: an agent on its own may ask long.
    for number in 0..MAX_UNASKED {
        progress.take_request(permission(number), &mut events);
    }
    assert!(events.is_empty() && !progress.waits());
    let refused = &progress.inquiries.refused;
    assert_eq!(refused.len(), MAX_UNASKED);
    assert_eq!(refused[7], ("int_t_7".to_owned(), words(&InteractionKind::Permission)));
    assert!(progress.exceeded.is_none(), "its turn goes on");
    // What is not switched off is asked.
    let mut question = permission(MAX_UNASKED);
    question.request.kind = InteractionKind::Question;
    progress.take_request(question, &mut events);
    assert_eq!((events.len(), progress.waits()), (1, true));
    progress.take_request(permission(MAX_UNASKED + 1), &mut events);
    let ends = progress.exceeded.unwrap();
    assert_eq!(ends.error.unwrap().code.as_deref(), Some("TURN_TOO_LARGE"));
}

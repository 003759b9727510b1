use serde_json::{Value, json};

use super::*;

fn request(value: Value) -> InteractionRequest {
    serde_json::from_value(value).unwrap()
}

fn permission(allowed: &[&str]) -> InteractionRequest {
    request(json!({"id": "p", "kind": "permission", "title": "Run a command", "subject": "ls",
        "allowedOutcomes": allowed, "answerSpec": {"fields": [
            {"key": "grant", "kind": "select", "required": true, "options": [
                {"value": "allow_once"}, {"value": "allow_session"},
                {"value": "allow_always", "label": "Always"}, {"value": "deny"}]},
            {"key": "feedback", "kind": "text"}]}}))
}

fn question(fields: Value) -> InteractionRequest {
    request(json!({"id": "q", "title": "Which?", "answerSpec": {"fields": fields}}))
}

fn colours(more: Value) -> AnswerField {
    let mut field = json!({"key": "c", "kind": "select", "required": true, "options": [
        {"value": "red", "label": "Red", "description": "Warm."}, {"value": "blue", "label": "Blue"}]});
    field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(field).unwrap()
}

fn words(request: &InteractionRequest) -> Vec<String> {
    acts(request).into_iter().map(|act| act.words).collect()
}

#[test]
fn a_permission_has_a_button_for_each_thing_that_can_be_permitted() {
    let asked = permission(&["accepted", "declined"]);
    assert_eq!(words(&asked), ["Allow once", "Allow for this chat", "Always", "Deny"]);
    let acts = acts(&asked);
    assert_eq!(acts.iter().filter(|act| act.first).count(), 1, "one way on");
    assert!(acts[0].first && !enter_answers(&asked));
    let given = |at: usize| {
        let answer = answer(&asked, &acts[at], Extra::new()).unwrap();
        asked.check(&answer).unwrap();
        (answer.outcome, answer.data["grant"].clone())
    };
    assert_eq!(given(1), (Outcome::Accepted, json!("allow_session")));
    assert_eq!(given(3), (Outcome::Declined, json!("deny")));
    let shown: Vec<_> = fields(&asked).into_iter().map(|field| field.key).collect();
    assert_eq!(shown, ["feedback"], "the buttons say the rest");
    let only_accepted = super::acts(&permission(&["accepted"]));
    assert_eq!(only_accepted[3].outcome, Outcome::Accepted, "it says no by its field");
}

#[test]
fn nothing_hides_in_what_is_to_be_permitted() {
    let body = |kind: &str| {
        let asked = json!({"id": "p", "kind": kind, "title": "t", "body": "a\u{202e}b\n\tc"});
        super::body(&request(asked)).unwrap()
    };
    assert_eq!(body("permission"), "a\\u{202e}b\n\tc");
    assert_eq!(body("plan"), "a\u{202e}b\n\tc");
}

#[test]
fn a_plan_is_approved_or_rejected_and_a_question_answered_or_skipped() {
    let plan = request(json!({"id": "p", "kind": "plan", "title": "Plan"}));
    assert_eq!(words(&plan), ["Approve", "Reject"]);
    assert!(!enter_answers(&plan));
    assert_eq!(words(&question(json!([]))), ["Answer", "Skip"]);
    assert!(enter_answers(&question(json!([]))));
    let bound = request(json!({"id": "q", "title": "", "allowedOutcomes": ["accepted"]}));
    assert_eq!(words(&bound), ["Answer"]);
    let unknown = request(json!({"id": "q", "kind": "acme.form", "title": "x",
        "allowedOutcomes": ["accepted", "cancelled"]}));
    assert_eq!(acts(&unknown)[1].outcome, Outcome::Cancelled);
}

#[test]
fn what_has_to_be_filled_in_is_asked_for_before_a_yes_and_not_before_a_no() {
    let asked = question(json!([
        {"key": "a", "kind": "text", "label": "Your name"},
        {"key": "b", "kind": "text", "label": "Its name", "required": true},
    ]));
    let acts = acts(&asked);
    let missing = answer(&asked, &acts[0], Extra::new()).unwrap_err();
    assert!(missing.contains("Its name"), "{missing}");
    assert_eq!(answer(&asked, &acts[1], Extra::new()).unwrap().outcome, Outcome::Declined);
    let data: Extra = serde_json::from_value(json!({"b": "x"})).unwrap();
    asked.check(&answer(&asked, &acts[0], data.clone()).unwrap()).unwrap();
    assert!(answer(&asked, &acts[1], data).unwrap().data.is_empty(), "skipped is not half said");
}

#[test]
fn a_form_gives_what_was_chosen_or_written_and_shows_it_again() {
    let chosen = |field: &AnswerField, rows: &[&str], written: &str| {
        let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        value(&field.kind, &rows, written)
    };
    let one = colours(json!({"allowCustom": true}));
    assert_eq!(chosen(&one, &["1"], ""), Some(json!("blue")));
    assert_eq!(chosen(&one, &[OWN], " green "), Some(json!("green")));
    assert_eq!(chosen(&one, &[OWN], " "), None);
    assert_eq!(chosen(&one, &[], "green"), None, "own words that were not chosen");
    assert_eq!(chosen(&one, &["7"], ""), None);
    let many = colours(json!({"multi": true, "allowCustom": true}));
    let given = chosen(&many, &["0", OWN], "green").unwrap();
    assert_eq!(given, json!(["red", "green"]));
    assert_eq!(chosen(&many, &[], ""), None);
    let answer: Extra = serde_json::from_value(json!({"c": given})).unwrap();
    assert!(is_given(&many, &answer, &json!("red")) && !is_given(&many, &answer, &json!("blue")));
    assert_eq!(own_words(&many, &answer).as_deref(), Some("green"));
    let field = |kind: &str| -> AnswerField {
        serde_json::from_value(json!({"key": "n", "kind": kind})).unwrap()
    };
    assert_eq!(chosen(&field("number"), &[], "3"), Some(json!(3)));
    assert_eq!(chosen(&field("number"), &[], "-2.5"), Some(json!(-2.5)));
    assert_eq!(chosen(&field("number"), &[], "inf"), None);
    assert_eq!(chosen(&field("boolean"), &["1"], ""), Some(json!(false)));
    assert_eq!(chosen(&field("text"), &[], "a\nb"), Some(json!("a\nb")));
    assert_eq!(chosen(&field("of the future"), &[], "a"), Some(json!("a")));
}

#[test]
fn what_came_of_it_is_said_in_a_few_words() {
    let came = |request: &InteractionRequest, status: &str, answer: Value| {
        let part = json!({"request": request, "status": status, "answer": answer});
        came_of(&serde_json::from_value(part).unwrap(), true)
    };
    let asked = question(json!([colours(json!({"multi": true, "allowCustom": true})),
        {"key": "n", "kind": "number"}, {"key": "s", "kind": "secret"},
        {"key": "b", "kind": "boolean"}]));
    assert_eq!(came(&asked, "pending", json!(null)), None);
    let answered = json!({"c": ["blue", "green"], "n": 3, "b": false});
    assert_eq!(came(&asked, "accepted", answered).as_deref(), Some("Blue, green, 3, No"));
    assert_eq!(came(&asked, "accepted", json!(null)).as_deref(), Some("answered"));
    assert_eq!(came(&asked, "declined", json!(null)).as_deref(), Some("skipped"));
    assert_eq!(came(&asked, "cancelled", json!(null)).as_deref(), Some("not answered"));
    assert_eq!(came(&asked, "expired", json!(null)).as_deref(), Some("nobody answered in time"));
    let asked = permission(&["accepted", "declined"]);
    let granted = |word: &str| came(&asked, "accepted", json!({"grant": word}));
    assert_eq!(granted("allow_once").as_deref(), Some("allowed once"));
    assert_eq!(granted("allow_session").as_deref(), Some("allowed for this chat"));
    assert_eq!(granted("deny").as_deref(), Some("denied"), "a yes to the question of a no");
    assert_eq!(came(&asked, "declined", json!(null)).as_deref(), Some("denied"));
}

#[test]
fn what_was_left_open_when_its_turn_ended_was_not_answered() {
    let part = InteractionPart::pending(question(json!([])));
    assert_eq!(came_of(&part, true), None);
    assert_eq!(came_of(&part, false).as_deref(), Some("not answered"));
}

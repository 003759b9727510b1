use sandbox_sdk::types::{AnswerKind, EventBody, InteractionKind, Outcome};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(3600);
/// More than any machine needs for what takes no time.
const SOON: Duration = Duration::from_secs(30);

fn asker(patience: Duration) -> (Asker, mpsc::Receiver<Event>) {
    let (events, heard) = mpsc::channel(8);
    (Broker::new(patience).asker(&AgentRun::unasked(), events), heard)
}

async fn asked(heard: &mut mpsc::Receiver<Event>) -> InteractionRequest {
    match heard.recv().await.unwrap().body() {
        EventBody::Interaction(asked) => asked.request,
        other => panic!("{other:?}"),
    }
}

async fn cancelled(heard: &mut mpsc::Receiver<Event>) -> (String, String) {
    match heard.recv().await.unwrap().body() {
        EventBody::InteractionCancelled(cancelled) => (cancelled.id, cancelled.reason.unwrap()),
        other => panic!("{other:?}"),
    }
}

fn answer(id: &str, outcome: Outcome, data: Value) -> InteractionAnswer {
    InteractionAnswer { id: id.into(), outcome, data: data.as_object().unwrap().clone() }
}

fn command(subject: &str) -> Wanted {
    Wanted { power: Power::Command, subject: subject.into(), body: None }
}

fn colour() -> Question {
    Question {
        text: "Which colour?".into(),
        options: vec![("red".into(), None), ("blue".into(), Some("like the sky".into()))],
        ..Question::default()
    }
}

#[tokio::test]
async fn an_answer_finds_the_one_who_waits_and_no_other_answer_does() {
    let (asker, mut heard) = asker(LONG);
    let broker = asker.0.broker.clone();
    let waits = tokio::spawn({
        let asker = asker.clone();
        async move { asker.question(&[colour()]).await }
    });
    let request = asked(&mut heard).await;
    assert_eq!((request.id.as_str(), request.title.as_str()), ("int_t_1", "Which colour?"));
    assert_eq!(request.timeout_ms, Some(3_600_000));
    let right = || answer("int_t_1", Outcome::Accepted, json!({"q1": "blue"}));
    request.check(&right()).unwrap();
    assert!(!broker.answer("another turn", right()));
    assert!(!broker.answer("t", answer("int_t_2", Outcome::Accepted, json!({}))));
    assert!(broker.answer("t", right()));
    assert_eq!(waits.await.unwrap(), Ok(vec![vec!["blue".to_owned()]]));
    assert!(broker.answer("t", right()), "whoever gave it may not have heard");
    assert!(!broker.answer("t", answer("int_t_1", Outcome::Accepted, json!({"q1": "red"}))));
    assert!(heard.try_recv().is_err(), "an answer is no event of the agent's");
    drop(asker);
    assert!(!broker.answer("t", right()), "the turn is over");
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let (asker, mut heard) = asker(Duration::from_millis(30));
    let denied = asker.permit(command("rm -r /")).await.unwrap_err();
    assert!(denied.contains("nobody answered"), "{denied}");
    let id = asked(&mut heard).await.id;
    assert_eq!(cancelled(&mut heard).await, (id.clone(), "expired".to_owned()));
    assert!(!asker.0.broker.answer("t", answer(&id, Outcome::Accepted, json!({}))));
}

#[tokio::test]
async fn who_goes_away_takes_the_request_back() {
    let (asker, mut heard) = asker(LONG);
    let broker = asker.0.broker.clone();
    let waits = tokio::spawn(async move { asker.permit(command("ls")).await });
    let id = asked(&mut heard).await.id;
    waits.abort();
    assert_eq!(cancelled(&mut heard).await, (id.clone(), "withdrawn".to_owned()));
    assert!(!broker.answer("t", answer(&id, Outcome::Accepted, json!({}))));
}

#[tokio::test]
async fn a_permission_is_for_once_or_for_the_session_and_for_its_kind_of_thing() {
    let (asker, mut heard) = asker(LONG);
    let broker = asker.0.broker.clone();
    let answers = tokio::spawn(async move {
        for (grant, outcome) in [
            ("allow_once", Outcome::Accepted),
            ("allow_session", Outcome::Accepted),
            ("deny", Outcome::Accepted),
            ("allow_once", Outcome::Declined),
        ] {
            let request = asked(&mut heard).await;
            assert_eq!(request.kind, InteractionKind::Permission);
            let answer = answer(&request.id, outcome, json!({"grant": grant, "feedback": " no! "}));
            request.check(&answer).unwrap();
            assert!(broker.answer("t", answer));
        }
        heard
    });
    let edit = || Wanted { power: Power::Edit, subject: "a.txt".into(), body: None };
    assert_eq!(asker.permit(command("one")).await, Ok(()));
    assert_eq!(asker.permit(command("two")).await, Ok(()));
    assert_eq!(asker.permit(command("three")).await, Ok(()), "nobody is asked");
    let denied = || Err("The user denied this and said: no!".to_owned());
    assert_eq!(asker.permit(edit()).await, denied());
    assert_eq!(asker.permit(edit()).await, denied());
    let mut heard = answers.await.unwrap();
    assert!(heard.try_recv().is_err(), "no more than four were asked");

    let run = AgentRun { session_id: "other".into(), ..AgentRun::unasked() };
    let (events, mut heard) = mpsc::channel(8);
    let other = asker.0.broker.asker(&run, events);
    let waits = tokio::spawn(async move { other.permit(command("four")).await });
    assert_eq!(asked(&mut heard).await.subject.as_deref(), Some("four"));
    waits.abort();
}

#[tokio::test]
async fn what_is_allowed_for_the_session_is_asked_no_longer() {
    let (asker, mut heard) = asker(LONG);
    let permits = |subject: &'static str| {
        let asker = asker.clone();
        tokio::spawn(async move { asker.permit(command(subject)).await })
    };
    let one = permits("one");
    let first = asked(&mut heard).await.id;
    let two = permits("two");
    let second = asked(&mut heard).await.id;
    let question = tokio::spawn({
        let asker = asker.clone();
        async move { asker.question(&[colour()]).await }
    });
    let third = asked(&mut heard).await.id;

    let broker = asker.0.broker.clone();
    let for_all = json!({"grant": "allow_session"});
    assert!(broker.answer("t", answer(&first, Outcome::Accepted, for_all)));
    assert_eq!(one.await.unwrap(), Ok(()));
    assert_eq!(two.await.unwrap(), Ok(()));
    assert_eq!(cancelled(&mut heard).await, (second.clone(), "granted".to_owned()));
    assert!(!broker.answer("t", answer(&second, Outcome::Accepted, json!({"grant": "deny"}))));
    assert!(broker.answer("t", answer(&third, Outcome::Accepted, json!({"q1": "red"}))));
    assert_eq!(question.await.unwrap(), Ok(vec![vec!["red".to_owned()]]));
}

#[tokio::test]
async fn nothing_is_allowed_that_was_not_shown() {
    let (asker, mut heard) = asker(LONG);
    let change = |all| replacement(&"old line\n".repeat(2000), &"new line\n".repeat(2000), all);
    let wanted = Wanted { power: Power::Edit, subject: "a.txt".into(), body: Some(change(true)) };
    let waits = tokio::spawn({
        let asker = asker.clone();
        async move { asker.permit(wanted).await }
    });
    let body = asked(&mut heard).await.body.unwrap();
    let lines = |sign: &str| body.lines().filter(|line| line.starts_with(sign)).count();
    assert_eq!((lines("-old line"), lines("+new line")), (2000, 2000));
    assert!(body.starts_with("Wherever it stands in the file"), "not only once");
    assert!(change(false).starts_with("```diff"));
    waits.abort();
}

#[tokio::test]
async fn several_questions_are_one_request_and_their_answers_stand_in_order() {
    let (asker, mut heard) = asker(LONG);
    let broker = asker.0.broker.clone();
    let questions = [
        Question { multi: true, custom: true, ..colour() },
        Question { text: "Password?".into(), secret: true, ..colour() },
    ];
    let waits = tokio::spawn(async move { asker.question(&questions).await });
    let request = asked(&mut heard).await;
    let kinds: Vec<_> = request.answer_spec.fields.iter().map(|field| &field.kind).collect();
    assert!(matches!(kinds[..], [AnswerKind::Select { multi: true, .. }, AnswerKind::Secret]));
    let data = json!({"q1": ["blue", "green"], "q2": "hunter2"});
    let answer = answer(&request.id, Outcome::Accepted, data);
    request.check(&answer).unwrap();
    assert!(broker.answer("t", answer));
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(waits.await.unwrap(), Ok(vec![texts(&["blue", "green"]), texts(&["hunter2"])]));
}

#[tokio::test]
async fn what_is_too_long_for_a_person_is_not_asked() {
    let (asker, mut heard) = asker(LONG);
    let options = (0..9_000).map(|number| (format!("option {number}"), None)).collect();
    let long = [Question { options, ..colour() }];
    let refused = timeout(SOON, asker.question(&long)).await.unwrap().unwrap_err();
    assert!(refused.contains("too long"), "{refused}");
    assert!(heard.try_recv().is_err());
    let long = command(&"x".repeat(200_000));
    let refused = timeout(SOON, asker.permit(long)).await.unwrap().unwrap_err();
    assert!(refused.contains("too long"), "{refused}");
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn an_agent_hears_the_words_that_come_with_a_no_to_its_question() {
    for (data, expected) in [
        (json!({}), "The user did not want to answer."),
        (json!({"feedback": " Go on. "}), "The user did not answer. Go on."),
    ] {
        let (asker, mut heard) = asker(LONG);
        let broker = asker.0.broker.clone();
        let waits = tokio::spawn(async move { asker.question(&[colour()]).await });
        let request = asked(&mut heard).await;
        assert!(broker.answer("t", answer(&request.id, Outcome::Declined, data)));
        assert_eq!(waits.await.unwrap(), Err(expected.to_owned()));
    }
}

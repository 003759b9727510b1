use super::*;

fn shell(command: &str) -> Call {
    Call::Shell(command.to_owned())
}

#[test]
fn prose_has_no_directives() {
    assert_eq!(
        Script::parse("Please RUN the tests [all], prerun PRERUN[x] DROPS"),
        Script::default()
    );
}

#[test]
fn a_command_may_hold_brackets_in_pairs() {
    let script = Script::parse("RUN[[ -f x ] && echo ${a[0]}] then SAY[done]");
    assert_eq!(script.calls, [shell("[ -f x ] && echo ${a[0]}")]);
    assert_eq!(script.tail.text.as_deref(), Some("done"));
}

#[test]
fn an_open_bracket_is_no_directive() {
    assert_eq!(Script::parse("RUN[echo hi"), Script::default());
}

#[test]
fn arguments_of_a_call_may_hold_any_bracket() {
    let script = Script::parse(r#"CALL[write {"path":"a","content":"]]["}] SAY[ok]"#);
    let Call::Tool { name, arguments } = &script.calls[0] else { panic!("no tool call") };
    assert_eq!(name, "write");
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert_eq!(arguments["content"], "]][");
    assert_eq!(script.tail.text.as_deref(), Some("ok"));
}

#[test]
fn broken_arguments_of_a_call_stay_broken() {
    let script = Script::parse(r#"CALL[bash {"command": ]"#);
    let expected = Call::Tool { name: "bash".into(), arguments: r#"{"command":"#.into() };
    assert_eq!(script.calls, [expected]);
}

#[test]
fn what_stands_before_the_last_call_belongs_to_the_first_answer() {
    let script = Script::parse("THINK[hm] SAY[first] FAIL[529x2] RUN[a] RUN[b] SAY[last] DROP[4]");
    assert_eq!(script.lead.thinking.as_deref(), Some("hm"));
    assert_eq!(script.lead.text.as_deref(), Some("first"));
    assert_eq!(script.lead.fail, Some(Fault { what: 529, times: Some(2) }));
    assert_eq!(script.calls, [shell("a"), shell("b")]);
    assert_eq!(script.tail.text.as_deref(), Some("last"));
    let cut = |after, how| Some(Fault { what: Cut { after, how }, times: None });
    assert_eq!(script.tail.cut, cut(4, CutHow::Broken));
    assert_eq!(Script::parse("TRUNCATE[2]").tail.cut, cut(2, CutHow::Silent));
}

#[test]
fn calls_come_at_once_or_one_a_step() {
    let at_once = Script::parse("RUN[a] RUN[b]");
    assert_eq!(at_once.rounds(), 1);
    assert_eq!(at_once.calls_of(0), [shell("a"), shell("b")]);
    assert_eq!(at_once.calls_of(1), []);
    assert_eq!(at_once.rounds_done(2), 1);

    let stepped = Script::parse("STEPS[3] RUN[a] RUN[b]");
    assert_eq!(stepped.rounds(), 3);
    assert_eq!(stepped.calls_of(0), [shell("a")]);
    assert_eq!(stepped.calls_of(1), [shell("b")]);
    assert_eq!(stepped.calls_of(2), [shell("a")]);
    assert_eq!(stepped.rounds_done(2), 2);

    let commandless = Script::parse("STEPS[2]");
    assert_eq!(commandless.calls_of(1), [shell("echo step")]);
}

#[test]
fn bare_faults_are_directives() {
    let script = Script::parse("DROP and MALFORMED");
    let cut = Cut { after: 3, how: CutHow::Broken };
    assert_eq!(script.tail.cut, Some(Fault { what: cut, times: None }));
    assert_eq!(script.tail.malformed, Some(Fault { what: (), times: None }));
}

#[test]
fn usage_takes_two_to_four_numbers() {
    let usage = |prompt: &str| Script::parse(prompt).usage;
    let fixed = |input, output, cache_read, cache_write| {
        Some(FixedUsage { input, output, cache_read, cache_write })
    };
    assert_eq!(usage("USAGE[5,6]"), fixed(5, 6, 0, 0));
    assert_eq!(usage("USAGE[5, 6, 7]"), fixed(5, 6, 7, 0));
    assert_eq!(usage("USAGE[5,6,7,8]"), fixed(5, 6, 7, 8));
    assert_eq!(usage("USAGE[5]"), None);
    assert_eq!(usage("USAGE[5,x]"), None);
}

#[test]
fn a_long_text_has_as_many_words_as_asked_for() {
    let script = Script::parse("LONG[25] SLOW[7]");
    assert_eq!(script.tail.text.unwrap().split(' ').count(), 25);
    assert_eq!(script.delay, Duration::from_millis(7));
}

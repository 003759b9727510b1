//! What the program answers without being started as a service.

use std::process::Command;

use scripted_model::ScriptedModel;

/// The words, and whether it ended well.
async fn said(arguments: &[&str], environment: &[(&str, &str)]) -> (String, bool) {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    // Nothing of the machine's own keys.
    command.args(arguments).env_clear().env("SKEIN_DATA", data.path());
    command.env("SKEIN_LOCAL_MODELS", "off").envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(data.path().read_dir().unwrap().count(), 0, "nothing is left behind");
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

#[tokio::test]
async fn a_check_is_one_line_and_an_exit_code() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let good = [("SKEIN_MODEL_URL", url.as_str()), ("SKEIN_MODEL_KEY", "good-secret")];
    let wrong = [("SKEIN_MODEL_URL", url.as_str()), ("SKEIN_MODEL_KEY", "wrong-secret")];
    let named = ["--model", "custom/missing-one", "check-model"];
    for (arguments, environment, expected, works) in [
        (&["check-model"][..], &good[..], "ok: custom/scripted-1 ", true),
        (&["check-model"], &wrong, "key refused: ", false),
        (&named, &good, "no such model: ", false),
        (&["check-model"], &[], "no key: ", false),
    ] {
        let (words, ended_well) = said(arguments, environment).await;
        assert!(words.starts_with(expected) && words.lines().count() == 1, "{words}");
        assert!(!words.contains("secret"), "{words}");
        assert_eq!(ended_well, works, "{words}");
    }
}

#[tokio::test]
async fn the_table_of_agents_is_told_without_a_start() {
    let (words, ended_well) = said(&["agents"], &[("SKEIN_MODEL_URL", "http://127.0.0.1:1")]).await;
    assert!(ended_well && words.contains("cargo xtask agents install codex"), "{words}");
    let (words, ended_well) = said(&["agents"], &[("SKEIN_MODEL_URL", "nowhere")]).await;
    assert!(!ended_well && words.starts_with("SKEIN_MODEL_URL: "), "{words}");
}

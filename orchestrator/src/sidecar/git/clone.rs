//! The repository that a new sandbox begins with.
//!
//! Git runs with an environment of its own. What the sandbox was made with could have git write down
//! the token, or give it to somebody else; and no later command gets to see what this one got.

use std::{collections::BTreeMap, path::Path, time::Duration};

use sandbox_sdk::types::ErrorCode;
use tokio::time::Instant;

use super::{ALWAYS, MAX_WORDS, NOT_INSTALLED};
use crate::sidecar::{
    HOME, PATH, WORKSPACE,
    api::Problem,
    commands::{CommandRunner, Ended, Program},
    files::{self, place::Found},
    message::{CloneRepository, Revision},
};

/// For all of it.
pub(in crate::sidecar) const PATIENCE: Duration = Duration::from_secs(900);
/// Bytes kept of what git says.
const MAX_OUTPUT: usize = 64 << 10;

/// Nothing of a repository's may start anything, nobody else is asked for a password, nothing stays at
/// work in the background, and a host that sends nothing is not waited for.
const SETTINGS: [&str; 24] = [
    "-c",
    "advice.detachedHead=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "credential.helper=",
    "-c",
    "fetch.recurseSubmodules=false",
    "-c",
    "gc.auto=0",
    "-c",
    "http.lowSpeedLimit=1",
    "-c",
    "http.lowSpeedTime=60",
    "-c",
    "http.sslVerify=true",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "maintenance.auto=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "transfer.bundleURI=false",
];

/// What git says when it fails, and what to do about it.
const ADVICE: [(&[&str], &str); 4] = [
    (
        &["terminal prompts disabled", "Authentication failed"],
        "There is no such repository, or its host wants another token in git.auth.token.",
    ),
    (
        &["returned error: 30"],
        "With a token no redirect is followed: give the URL that it leads to.",
    ),
    (
        &["CONNECT tunnel failed, response 403", "HTTP code 403 from proxy after CONNECT"],
        "The sandbox's network does not let it through: see network.allowList.",
    ),
    (
        &["CONNECT tunnel failed, response 502", "HTTP code 502 from proxy after CONNECT"],
        "The sandbox's network lets it through, but its host does not answer.",
    ),
];

/// Fills the workspace. What was there goes: nobody has used the sandbox yet, and all that may be
/// left is of a try that was cut off.
pub(super) async fn clone(
    commands: &CommandRunner,
    order: &CloneRepository,
) -> Result<(), Problem> {
    let empty =
        || files::empty(&Found::at(Path::new(WORKSPACE))?.open_folder()?, Path::new(WORKSPACE));
    files::blocking(empty).await?;
    let until = Instant::now() + PATIENCE;
    let mut env = environment(order);
    env.extend(
        commands.outlet().environment().into_iter().map(|(name, proxy)| (name.to_owned(), proxy)),
    );
    // A repository on the host's own loopback is not on the sandbox's.
    env.extend(["NO_PROXY", "no_proxy"].map(|name| (name.to_owned(), String::new())));
    for step in steps(order) {
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let program = Program {
            words: ALWAYS
                .iter()
                .chain(&SETTINGS)
                .map(|word| (*word).to_owned())
                .chain(step)
                .collect(),
            cwd: None,
            env: env.clone(),
            timeout: Some(u64::try_from(left).unwrap_or(u64::MAX).max(1)),
            input: None,
        };
        let ended = commands.perform_apart(&program, MAX_OUTPUT).await?;
        if ended.timed_out || ended.code != 0 {
            return Err(refusal(&ended));
        }
    }
    Ok(())
}

/// Git's arguments, call by call, in the workspace.
fn steps(order: &CloneRepository) -> Vec<Vec<String>> {
    let depth = format!("--depth={}", order.depth);
    let call = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let is_sparse = !order.sparse.is_empty();
    let sparse = is_sparse.then(|| {
        let folders = order.sparse.iter().map(String::as_str);
        [
            // As settings: gits before 2.35 would take the option `--cone` for a folder.
            call(&["config", "core.sparseCheckout", "true"]),
            call(&["config", "core.sparseCheckoutCone", "true"]),
            call(&["sparse-checkout", "set"].into_iter().chain(folders).collect::<Vec<_>>()),
        ]
    });
    let sparse = sparse.into_iter().flatten();
    let mut checkout = call(&["checkout", "--quiet", "--no-recurse-submodules"]);
    let exact = match &order.revision {
        Revision::Exact(name) => name,
        own_or_named => {
            let mut clone =
                call(&["clone", "--quiet", "--no-recurse-submodules", "--template=", &depth]);
            if is_sparse {
                clone.push("--no-checkout".to_owned());
            }
            if let Revision::Named(name) = own_or_named {
                clone.push(format!("--branch={name}"));
            }
            clone.extend(call(&["--", &order.url, "."]));
            let checkout = is_sparse.then_some(checkout);
            return [clone].into_iter().chain(sparse).chain(checkout).collect();
        }
    };
    let begin = [
        call(&["init", "--quiet", "--template=", "."]),
        call(&["remote", "add", "origin", &order.url]),
        call(&["fetch", "--quiet", "--no-recurse-submodules", &depth, "origin", exact]),
    ];
    checkout.extend(call(&["--detach", "FETCH_HEAD"]));
    begin.into_iter().chain(sparse).chain([checkout]).collect()
}

/// All that git gets to know, but the way to the network.
fn environment(order: &CloneRepository) -> BTreeMap<String, String> {
    let (scheme, _) = order.url.split_once(':').unwrap_or_default();
    let mut env: BTreeMap<String, String> = [
        ("HOME", HOME),
        ("PATH", PATH),
        ("LANG", "C.UTF-8"),
        ("USER", "agent"),
        // Its words are looked at.
        ("LC_ALL", "C"),
        // No other way to get at anything, wherever a repository or a host may send it.
        ("GIT_ALLOW_PROTOCOL", scheme),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let redirects = if order.authorization.is_some() { "false" } else { "initial" };
    let mut settings = vec![("http.followRedirects".to_owned(), redirects.to_owned())];
    if let Some(authorization) = &order.authorization {
        let header = format!("Authorization: {authorization}");
        settings.push((format!("http.{}/.extraHeader", order.origin), header));
    }
    env.insert("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string());
    for (number, (key, value)) in settings.into_iter().enumerate() {
        env.insert(format!("GIT_CONFIG_KEY_{number}"), key);
        env.insert(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    env
}

/// Why it was not cloned, in git's own words and in ours.
fn refusal(ended: &Ended) -> Problem {
    if ended.timed_out {
        let words = format!("it took longer than {} minutes", PATIENCE.as_secs() / 60);
        return Problem::new(ErrorCode::Timeout, words);
    }
    // The supervisor says so of a program that is not there.
    if ended.code == 127 {
        return Problem::not_implemented("git", NOT_INSTALLED);
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let advice = ADVICE.iter().find(|(signs, _)| signs.iter().any(|sign| said.contains(sign)));
    let advice = advice.map(|(_, words)| format!(" {words}")).unwrap_or_default();
    Problem::new(ErrorCode::InvalidState, format!("git: {}.{advice}", last_lines(&said)))
}

/// Why git failed stands at the end. What a host says comes before, and is as long as it likes.
fn last_lines(said: &str) -> String {
    let mut room = MAX_WORDS;
    let mut lines: Vec<&str> = said
        .lines()
        .rev()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        })
        .collect();
    lines.reverse();
    let words = match lines.as_slice() {
        [] if said.trim().is_empty() => "it failed without a word".to_owned(),
        // The last line alone is too long.
        [] => {
            let said = said.trim_end();
            said.chars().skip(said.chars().count().saturating_sub(MAX_WORDS)).collect()
        }
        lines => lines.join("; "),
    };
    words.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(revision: Revision, sparse: &[&str], token: Option<&str>) -> CloneRepository {
        CloneRepository {
            url: "https://a.example/b.git".to_owned(),
            origin: "https://a.example".to_owned(),
            revision,
            depth: 2,
            sparse: sparse.iter().map(|folder| (*folder).to_owned()).collect(),
            authorization: token.map(str::to_owned),
        }
    }

    fn said(order: &CloneRepository) -> Vec<String> {
        steps(order).iter().map(|step| step.join(" ")).collect()
    }

    #[test]
    fn what_is_asked_for_is_said_to_git() {
        let clone = "clone --quiet --no-recurse-submodules --template= --depth=2";
        let url = "-- https://a.example/b.git .";
        assert_eq!(said(&order(Revision::Own, &[], None)), [format!("{clone} {url}")]);
        let named = order(Revision::Named("dev".to_owned()), &["a", "b/c"], None);
        assert_eq!(
            said(&named),
            [
                &*format!("{clone} --no-checkout --branch=dev {url}"),
                "config core.sparseCheckout true",
                "config core.sparseCheckoutCone true",
                "sparse-checkout set a b/c",
                "checkout --quiet --no-recurse-submodules",
            ]
        );
        let exact = order(Revision::Exact("0123".to_owned()), &["a"], None);
        assert_eq!(
            said(&exact),
            [
                "init --quiet --template= .",
                "remote add origin https://a.example/b.git",
                "fetch --quiet --no-recurse-submodules --depth=2 origin 0123",
                "config core.sparseCheckout true",
                "config core.sparseCheckoutCone true",
                "sparse-checkout set a",
                "checkout --quiet --no-recurse-submodules --detach FETCH_HEAD",
            ]
        );
    }

    #[test]
    fn the_token_is_for_the_repositorys_own_host_and_in_the_environment_of_git_alone() {
        let order = order(Revision::Own, &[], Some("Basic eA=="));
        assert!(!said(&order).join(" ").contains("eA=="));
        let env = environment(&order);
        assert_eq!(env["GIT_CONFIG_COUNT"], "2");
        assert_eq!(env["GIT_CONFIG_VALUE_0"], "false");
        assert_eq!(env["GIT_CONFIG_KEY_1"], "http.https://a.example/.extraHeader");
        assert_eq!(env["GIT_CONFIG_VALUE_1"], "Authorization: Basic eA==");
        assert_eq!(env["GIT_ALLOW_PROTOCOL"], "https");
        assert!(!format!("{order:?}").contains("eA=="), "{order:?}");
    }

    #[test]
    fn without_a_token_a_repository_may_have_moved() {
        let env = environment(&order(Revision::Own, &[], None));
        assert_eq!((&*env["GIT_CONFIG_COUNT"], &*env["GIT_CONFIG_VALUE_0"]), ("1", "initial"));
    }

    #[test]
    fn a_failure_is_told_in_the_last_words_and_with_advice() {
        let ended = |code, timed_out, stderr: &str| Ended {
            code,
            stdout: Vec::new(),
            stderr: stderr.into(),
            truncated: false,
            timed_out,
            duration: 1,
        };
        let told = |stderr: &str| refusal(&ended(128, false, stderr)).message;
        assert_eq!(told("warning: x\nfatal: y\n"), "git: warning: x; fatal: y.");
        assert_eq!(told(""), "git: it failed without a word.");
        let long = told(&format!("remote: {}\nfatal: y\n", "x".repeat(60_000)));
        assert_eq!(long, "git: fatal: y.");
        let long = told(&format!("fatal: {}y\n", "x".repeat(60_000)));
        assert!(long.starts_with("git: xx") && long.ends_with("xy.") && long.len() < 2100);
        for (said, advice) in [
            ("fatal: could not read Username for 'x': terminal prompts disabled", "git.auth.token"),
            ("fatal: unable to access 'x': The requested URL returned error: 301", "redirect"),
            ("fatal: unable to access 'x': CONNECT tunnel failed, response 403", "allowList"),
            ("fatal: unable to access 'x': CONNECT tunnel failed, response 502", "not answer"),
            (
                "fatal: unable to access 'x': Received HTTP code 403 from proxy after CONNECT",
                "allowList",
            ),
            (
                "fatal: unable to access 'x': Received HTTP code 502 from proxy after CONNECT",
                "not answer",
            ),
        ] {
            assert!(told(said).contains(advice), "{}", told(said));
        }
        assert_eq!(refusal(&ended(127, false, "")).code, ErrorCode::NotImplemented);
        assert_eq!(refusal(&ended(124, true, "")).code, ErrorCode::Timeout);
    }
}

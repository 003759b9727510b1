//! The repository that a new sandbox is to begin with.

use base64::{Engine, prelude::BASE64_STANDARD};
use sandbox_sdk::types::{CreateSandbox, GitAuth, GitSource};
use serde_json::Value;

use super::{super::SandboxError, flawed, invalid, refused::asks};
use crate::{
    network::Target,
    sidecar::{CloneRepository, Revision},
};

/// Longest URL, in bytes; and the longest name of a branch, a tag or a commit.
const MAX_URL: usize = 2048;
const MAX_REVISION: usize = 256;
/// Commits that come along when nobody says how many, and the most.
const DEPTH: u64 = 1;
const MAX_DEPTH: u64 = 1_000_000;
/// Folders that are asked for, and the longest of them in bytes.
const MAX_SPARSE: usize = 100;
const MAX_FOLDER: usize = 1024;
const MAX_TOKEN: usize = 4096;
/// The hosts look at the token alone. Some of them want this name beside it.
const USER: &str = "x-access-token";

/// A repository that can be cloned as it is asked for, if its host can be reached.
#[derive(Debug)]
pub(in super::super) struct Repository {
    pub(in super::super) place: Target,
    pub(in super::super) order: CloneRepository,
}

impl Repository {
    /// What a sandbox was asked for with. No refusal quotes the URL: it may hold a password.
    pub(in super::super) fn of(request: &CreateSandbox) -> Result<Option<Self>, SandboxError> {
        let Some(git) = &request.git else { return Ok(None) };
        if request.extra.get("fromSnapshot").is_some_and(asks) {
            return invalid("git and fromSnapshot can't be asked for together");
        }
        let (place, origin) = place(&git.url)?;
        let depth = git.depth.unwrap_or(DEPTH);
        if !(1..=MAX_DEPTH).contains(&depth) {
            return flawed("git.depth", format!("must be between 1 and {MAX_DEPTH}"));
        }
        let order = CloneRepository {
            url: git.url.clone(),
            origin,
            revision: revision(git.revision.as_deref())?,
            depth,
            sparse: sparse(&git.sparse)?,
            authorization: authorization(git)?,
        };
        Ok(Some(Self { place, order }))
    }
}

/// What a sandbox was asked for with, once nothing has to open its repository any more. `None`: it
/// holds no token. Of what nobody knows the names stay: they are warned of.
pub(in super::super) fn without_token(request: &CreateSandbox) -> Option<CreateSandbox> {
    let auth = request.git.as_ref()?.auth.as_ref()?;
    let unknown = auth.extra.iter().filter(|(_, value)| asks(value));
    let extra = unknown.map(|(name, _)| (name.clone(), Value::Bool(true))).collect();
    let blank = GitAuth { token: None, extra };
    if *auth == blank {
        return None;
    }
    let mut request = request.clone();
    request.git.as_mut()?.auth = Some(blank);
    Some(request)
}

/// Where the URL leads, and what stands before its path.
fn place(url: &str) -> Result<(Target, String), SandboxError> {
    if url.is_empty() || url.len() > MAX_URL {
        return flawed("git.url", format!("must be 1 to {MAX_URL} bytes long"));
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return flawed("git.url", "must begin with https://"),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return flawed("git.url", "must not hold credentials: they belong into git.auth.token");
    }
    let Some(place) = Target::parse(authority, Some(port)) else {
        return flawed("git.url", "has no valid host");
    };
    // What is said on the way to this machine itself nobody hears.
    if scheme == "http" && !place.is_loopback() {
        return flawed("git.url", "must begin with https://");
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(&byte);
    if path.trim_matches('/').is_empty() || !path.bytes().all(plain) {
        return flawed("git.url", "must end with a plain path, without a query or a fragment");
    }
    Ok((place, format!("{scheme}://{}", authority.to_ascii_lowercase())))
}

fn revision(name: Option<&str>) -> Result<Revision, SandboxError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Revision::Own) };
    if !is_ref(name) {
        return flawed("git.ref", "must be a branch, a tag, or the whole id of a commit");
    }
    let is_commit = matches!(name.len(), 40 | 64) && name.bytes().all(|b| b.is_ascii_hexdigit());
    Ok(match name.strip_prefix("refs/heads/") {
        Some(branch) => Revision::Named(branch.to_owned()),
        None if is_commit || name.starts_with("refs/") => Revision::Exact(name.to_owned()),
        None => Revision::Named(name.to_owned()),
    })
}

/// Whether git itself would take it for the name of a branch.
fn is_ref(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !is_lock(part)
    };
    let is_odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    name.len() <= MAX_REVISION
        && !name.starts_with('-')
        && name != "@"
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(is_odd)
        && name.split('/').all(is_part)
}

/// Git keeps such names for itself.
fn is_lock(part: &str) -> bool {
    part.ends_with(".lock")
}

fn sparse(folders: &[String]) -> Result<Vec<String>, SandboxError> {
    if folders.len() > MAX_SPARSE {
        return flawed("git.sparse", format!("must not name more than {MAX_SPARSE} folders"));
    }
    let plain = |folder: &String| {
        let folder = folder.strip_suffix('/').unwrap_or(folder);
        let is_odd = |c: char| c.is_control() || "*?[\\\"".contains(c);
        let is_plain = folder.len() <= MAX_FOLDER
            && !folder.starts_with('-')
            && !folder.contains(is_odd)
            && folder.split('/').all(|part| !matches!(part, "" | "." | ".."));
        is_plain.then(|| folder.to_owned())
    };
    let folders: Option<Vec<_>> = folders.iter().map(plain).collect();
    folders.ok_or_else(|| {
        let words = "git.sparse must name folders, relative to the repository's top, not patterns";
        SandboxError::Invalid(words.to_owned())
    })
}

fn authorization(git: &GitSource) -> Result<Option<String>, SandboxError> {
    let token = git.auth.as_ref().and_then(|auth| auth.token.as_deref());
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    if token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return invalid(format!(
            "git.auth.token must be at most {MAX_TOKEN} visible ASCII characters"
        ));
    }
    Ok(Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{token}")))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const URL: &str = "https://a.example/b/c.git";

    fn of(git: Value) -> Result<Repository, String> {
        let request: CreateSandbox = serde_json::from_value(json!({ "git": git })).unwrap();
        Repository::of(&request).map(Option::unwrap).map_err(|error| error.to_string())
    }

    fn with(field: &str, value: Value) -> Result<CloneRepository, String> {
        of(json!({"url": URL, field: value})).map(|repository| repository.order)
    }

    #[test]
    fn a_repository_is_at_https_or_on_this_very_machine() {
        for (url, origin, line) in [
            (URL, "https://a.example", "a.example"),
            ("https://A.example:8443/b", "https://a.example:8443", "a.example:8443"),
            ("https://10.0.0.1/b", "https://10.0.0.1", "10.0.0.1"),
            ("http://127.0.0.1:7000/b.git", "http://127.0.0.1:7000", "127.0.0.1:7000"),
            ("http://[::1]:7000/b.git", "http://[::1]:7000", "[::1]:7000"),
        ] {
            let repository = of(json!({ "url": url })).unwrap();
            assert_eq!(
                (repository.order.origin.as_str(), repository.order.url.as_str()),
                (origin, url)
            );
            assert_eq!(repository.place.entry(), line);
        }
    }

    #[test]
    fn no_other_way_to_reach_a_repository_is_taken() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_URL));
        for url in [
            "",
            "a.example/b",
            "/workspace/b",
            "file:///etc",
            "ssh://a.example/b",
            "git@a.example:b.git",
            "git://a.example/b",
            "ext::sh -c touch% /tmp/x",
            "https::https://a.example/b",
            "HTTPS://a.example/b",
            "--upload-pack=x",
            "http://a.example/b",
            "http://localhost/b",
            "http://10.0.0.1/b",
            "http://127.0.0.1.a.example/b",
            "https://a.example",
            "https://a.example/",
            "https:///b",
            "https://a.example:0/b",
            "https://127.1/b",
            "https://a.example/b?x=1",
            "https://a.example/b#x",
            "https://a.example/b c",
            "https://a.example/b\n",
            "https://a.example\\@b.example/c",
            "https://a.example/b\\c",
            "https://ä.example/b",
            &long,
        ] {
            assert!(of(json!({ "url": url })).is_err(), "{url}");
        }
        for url in ["https://hunter2@a.example/b", "https://u:hunter2@a.example/b"] {
            let refused = of(json!({ "url": url })).unwrap_err();
            assert!(
                refused.contains("git.auth.token") && !refused.contains("hunter2"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_revision_is_a_name_that_git_takes_and_nothing_else() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let named = |name: &str| Revision::Named(name.to_owned());
        let exact = |name: &str| Revision::Exact(name.to_owned());
        for (name, is) in [
            ("", Revision::Own),
            ("main", named("main")),
            ("feature/x.y", named("feature/x.y")),
            ("v1.0", named("v1.0")),
            ("refs/heads/main", named("main")),
            ("refs/tags/v1", exact("refs/tags/v1")),
            ("refs/pull/1/head", exact("refs/pull/1/head")),
            (commit, exact(commit)),
            (&commit[..12], named(&commit[..12])),
        ] {
            assert_eq!(with("ref", json!(name)).unwrap().revision, is, "{name}");
        }
        assert_eq!(of(json!({ "url": URL })).unwrap().order.revision, Revision::Own);
        let long = "x".repeat(MAX_REVISION + 1);
        for name in [
            "-",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "@",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a\0",
            "a\n",
            &long,
        ] {
            assert!(with("ref", json!(name)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn depth_and_folders_have_bounds() {
        assert_eq!(of(json!({ "url": URL })).unwrap().order.depth, DEPTH);
        assert_eq!(with("depth", json!(MAX_DEPTH)).unwrap().depth, MAX_DEPTH);
        assert!(with("depth", json!(0)).is_err() && with("depth", json!(MAX_DEPTH + 1)).is_err());
        let folders = with("sparse", json!(["a", "b/c/", "d e"])).unwrap().sparse;
        assert_eq!(folders, ["a", "b/c", "d e"]);
        let many = vec!["a"; MAX_SPARSE + 1];
        assert!(with("sparse", json!(many)).is_err());
        let long = "x".repeat(MAX_FOLDER + 1);
        for folder in [
            "", "/", "/a", "..", "a/../b", "a//b", ".", "-a", "--stdin", "a*", "a\0", "a\nb", &long,
        ] {
            assert!(with("sparse", json!([folder])).is_err(), "{folder:?}");
        }
    }

    #[test]
    fn the_token_is_made_a_header_and_stands_in_no_word_about_it() {
        let asked = json!({"url": URL, "auth": {"token": "hunter2"}});
        let repository = of(asked).unwrap();
        // x-access-token:hunter2
        let header = "Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==";
        assert_eq!(repository.order.authorization.as_deref(), Some(header));
        let told = format!("{repository:?}");
        assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg"), "{told}");
        for none in [json!({}), json!({"token": ""}), json!({"token": null}), json!(null)] {
            assert_eq!(with("auth", none).unwrap().authorization, None);
        }
        for bad in ["hunter2\r\nX: y".to_owned(), "hunter2 x".to_owned(), "ä".repeat(9)] {
            let refused = with("auth", json!({ "token": bad })).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn of_a_repository_that_is_there_nothing_secret_is_kept() {
        let asked = |git: Value| serde_json::from_value::<CreateSandbox>(json!({"git": git}));
        let with = |auth: Value| asked(json!({"url": URL, "ref": "main", "auth": auth})).unwrap();
        let kept = without_token(&with(json!({"token": "hunter2", "sshKey": "hunter2", "x": ""})));
        assert_eq!(kept, Some(with(json!({"sshKey": true}))));
        assert_eq!(without_token(&kept.unwrap()), None);
        assert_eq!(without_token(&asked(json!({ "url": URL })).unwrap()), None);
        assert_eq!(without_token(&CreateSandbox::default()), None);
    }

    #[test]
    fn a_repository_and_a_snapshot_do_not_go_together() {
        let asked = |origin: Value| {
            let request = json!({"git": {"url": URL}, "fromSnapshot": origin});
            Repository::of(&serde_json::from_value(request).unwrap())
        };
        assert!(asked(json!("snap-1")).is_err());
        assert!(asked(json!(null)).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_names_its_host_without_credentials(url in "(https?://)?\\PC{0,60}") {
            if let Ok(repository) = of(json!({ "url": url })) {
                prop_assert!(url.starts_with(repository.order.origin.split_once("//").unwrap().0));
                prop_assert!(!repository.order.origin.contains('@'));
                prop_assert!(url.is_ascii() && !url.contains(char::is_whitespace));
            }
        }

        #[test]
        fn no_revision_is_an_option_or_a_range(name in "\\PC{0,20}") {
            if let Ok(order) = with("ref", json!(name)) {
                match order.revision {
                    Revision::Own => prop_assert!(name.is_empty()),
                    Revision::Named(name) | Revision::Exact(name) => {
                        prop_assert!(!name.starts_with('-') && !name.contains(".."));
                        prop_assert!(!name.contains([' ', ':', '*', '\n']));
                    }
                }
            }
        }
    }
}

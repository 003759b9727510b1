//! What was asked for and makes no difference, by name. No values: they may be secret.

use sandbox_sdk::types::{CreateSandbox, Extra};

use super::{
    network,
    refused::{asks, is_wanted},
};
use crate::{builtin::MAX_THINKING_TOKENS, profile, unread};

/// Fields that are read elsewhere, or were refused if they asked for anything.
pub(crate) const READ: &[&str] =
    &["driver", "network", "tools", "bare", "permissions", "fromSnapshot", "storage"];

/// What makes no difference, in words for people. `uses_image`: the sandbox is made of one.
pub(in super::super) fn warnings(request: &CreateSandbox, uses_image: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if request.image.is_some() && !uses_image {
        // Said rather than kept quiet: who asks for an image expects what is in it.
        warnings.push(
            "the image is not used: sandboxes here run on this machine's own system".to_owned(),
        );
    }
    let mut unknown = Vec::new();
    for (field, value) in &request.extra {
        match field.as_str() {
            field if !is_wanted(field, value) => {}
            "sshEnabled" | "sshPublicKey" => {
                warnings.push(format!("{field} is not used: there is no way in over SSH"));
            }
            "webTerminalEnabled" => {
                let words = "webTerminalEnabled is not used: there is no page with a terminal here";
                warnings.push(words.to_owned());
            }
            "agentIdentifier" if value == "default" => {}
            "driver" => unknown.extend(inner(field, value.as_object(), &["type"])),
            "network" => unknown.extend(
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(field, value)| asks(value) && !network::is_read(field))
                    .map(|(field, _)| format!("network.{field}")),
            ),
            field if READ.contains(&field) => {}
            field => unknown.push(field.to_owned()),
        }
    }
    let resources = request.resources.as_ref().map(|resources| &resources.extra);
    unknown.extend(inner("resources", resources, &[]));
    let backend = request.backend.as_ref();
    unknown.extend(inner("backend", backend.map(|backend| &backend.extra), &profile::FIELDS));
    let model = backend.and_then(|backend| backend.model.as_ref()).map(|model| &model.extra);
    unknown.extend(inner("backend.model", model, &[MAX_THINKING_TOKENS]));
    let git = request.git.as_ref();
    unknown.extend(inner("git", git.map(|git| &git.extra), &[]));
    let auth = git.and_then(|git| git.auth.as_ref()).map(|auth| &auth.extra);
    unknown.extend(inner("git.auth", auth, &[]));
    warnings.extend(unread::warnings(&unknown));
    warnings
}

/// Names of what an object asks for beyond what is read of it.
fn inner(place: &str, fields: Option<&Extra>, read: &[&str]) -> Vec<String> {
    let fields = fields.into_iter().flatten();
    fields
        .filter(|(field, value)| is_wanted(field, value) && !read.contains(&field.as_str()))
        .map(|(field, _)| format!("{place}.{field}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn warned(body: Value) -> Vec<String> {
        warnings(&serde_json::from_value(body).unwrap(), false)
    }

    #[test]
    fn what_makes_no_difference_is_named_and_its_value_is_not() {
        let told = warned(json!({
            "image": "node:22", "sshEnabled": true, "sshPublicKey": "value",
            "webTerminalEnabled": true, "agentIdentifier": "value", "flavour": "value",
            "resources": {"gpu": "value"}, "driver": {"type": "host-agent", "zone": "value"},
            "git": {"url": "value", "submodules": "value", "bare": "value", "auth": {
                "token": "value", "sshKey": "value",
            }},
            "backend": {"type": "demo", "profile": "careful", "server": {"port": 1}, "model": {
                "model": "m", "mode": "value", "apikey": "value", "maxThinkingTokens": 1,
            }},
        }));
        for name in [
            "image",
            "sshEnabled",
            "sshPublicKey",
            "webTerminalEnabled",
            "agentIdentifier",
            "flavour",
            "resources.gpu",
            "driver.zone",
            "git.submodules",
            "git.bare",
            "git.auth.sshKey",
            "backend.server",
            "backend.model.mode",
            "backend.model.apikey",
        ] {
            assert_eq!(told.iter().filter(|words| words.contains(name)).count(), 1, "{name}");
        }
        assert_eq!(told.len(), 14, "{told:?}");
        assert!(!told.iter().any(|words| words.contains("value")), "{told:?}");
    }

    #[test]
    fn an_image_is_warned_of_only_where_there_is_none() {
        let request = serde_json::from_value(json!({"image": "node:22"})).unwrap();
        assert_eq!(warnings(&request, false).len(), 1);
        assert_eq!(warnings(&request, true), Vec::<String>::new());
    }

    #[test]
    fn what_is_done_or_asks_for_nothing_is_not_warned_of() {
        let told = warned(json!({
            "name": "a", "env": {"A": "b"}, "tools": {"node": "22"}, "secrets": ["A"],
            "agentIdentifier": "default", "sshEnabled": false, "flavour": null, "bare": false,
            "driver": {
                "type": "host-agent", "gpuRequired": false, "gpuCount": 0, "enableCriu": false,
                "minHostSpecs": {"cpuCores": 0}, "targetHostIds": [],
            },
            "network": {"blockOutbound": true, "allow_list": ["a.example"]},
            "gpuCount": 0, "resources": {"gpu_count": 0, "cpu": 1, "memory": 256, "strict": true},
        }));
        assert_eq!(told, Vec::<String>::new());
    }

    #[test]
    fn a_flood_of_names_is_told_in_a_few_words() {
        let flood: serde_json::Map<_, _> =
            (0..100).map(|n| (format!("{n}{}", "x".repeat(1000)), json!(1))).collect();
        let told = warned(flood.into());
        assert!(told.len() < 20, "{}", told.len());
        assert!(told.iter().all(|words| words.len() < 200));
    }
}

//! How an agent is told to behave: `backend.profile`, by name or inline.

use std::collections::BTreeMap;

use sandbox_sdk::types::BackendChoice;
use serde::Deserialize;
use serde_json::Value;

use super::api::Problem;

/// What a profile asks for. The default allows all that the sandbox allows.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Profile {
    /// Only for people.
    pub(crate) name: Option<String>,
    /// Instead of the agent's own.
    pub(crate) system_prompt: Option<String>,
    /// In addition to the system prompt.
    pub(crate) instructions: Option<String>,
    pub(crate) permissions: Permissions,
    /// Servers with further tools, by name.
    pub(crate) mcp: BTreeMap<String, McpServer>,
}

/// What the agent may do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Permissions {
    pub(crate) bash: Permission,
    pub(crate) edit: Permission,
    /// Tools that reach into the network by way of the model's provider. The sandbox has none.
    pub(crate) network: Permission,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Permission {
    #[default]
    Allow,
    Ask,
    Deny,
}

impl Permission {
    pub(crate) fn is_allowed(self) -> bool {
        self == Self::Allow
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum McpServer {
    /// A program in the sandbox.
    Local {
        command: String,
        #[serde(default)]
        args: Vec<String>,
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
    /// Reached over HTTP; in a sandbox without a network only on its own loopback.
    Remote {
        url: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
}

impl Profile {
    /// The profile that a turn asks for.
    pub(crate) fn of(backend: Option<&BackendChoice>) -> Result<Self, Problem> {
        match backend.and_then(|backend| backend.extra.get("profile")) {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::String(name)) => Self::named(name).ok_or_else(|| {
                let known = "`default`, `read-only` and `careful`";
                Problem::invalid(format!("there is no profile {name:?}; there are {known}"))
            }),
            Some(inline) => serde_json::from_value(inline.clone())
                .map_err(|error| Problem::invalid(format!("backend.profile: {error}"))),
        }
    }

    fn named(name: &str) -> Option<Self> {
        let (bash, edit, network) = match name {
            "default" => Default::default(),
            "read-only" => (Permission::Deny, Permission::Deny, Permission::Deny),
            "careful" => (Permission::Ask, Permission::Ask, Permission::Deny),
            _ => return None,
        };
        let permissions = Permissions { bash, edit, network };
        Some(Self { permissions, ..Self::default() })
    }

    /// What an agent that can't ask has to refuse, in words.
    pub(crate) fn unasked(&self) -> Option<String> {
        let Permissions { bash, edit, network } = self.permissions;
        let asked: Vec<_> = [("commands", bash), ("edits", edit), ("the network", network)]
            .into_iter()
            .filter_map(|(what, permission)| (permission == Permission::Ask).then_some(what))
            .collect();
        (!asked.is_empty()).then(|| {
            let what = asked.join(" and ");
            format!(
                "The profile wants to be asked for {what}. This agent can't ask, so it refuses."
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn profile(value: Value) -> Result<Profile, Problem> {
        let backend: BackendChoice = serde_json::from_value(json!({"profile": value})).unwrap();
        Profile::of(Some(&backend))
    }

    #[test]
    fn a_turn_without_a_profile_may_do_what_the_sandbox_allows() {
        assert_eq!(Profile::of(None).unwrap(), Profile::default());
        assert_eq!(profile(json!("default")).unwrap(), Profile::default());
        assert!(Profile::default().permissions.bash.is_allowed());
    }

    #[test]
    fn names_and_inline_profiles_are_read() {
        assert_eq!(profile(json!("read-only")).unwrap().permissions.edit, Permission::Deny);
        let inline = profile(json!({
            "systemPrompt": "s", "instructions": "i", "permissions": {"bash": "ask"},
            "mcp": {"a": {"command": "x", "args": ["y"]}, "b": {"url": "http://127.0.0.1:1/"}},
        }))
        .unwrap();
        assert_eq!(inline.permissions.bash, Permission::Ask);
        assert!(inline.permissions.edit.is_allowed());
        assert!(matches!(inline.mcp["b"], McpServer::Remote { .. }));
        assert!(inline.unasked().unwrap().contains("commands"));
    }

    #[test]
    fn what_is_misspelt_is_refused_and_not_taken_for_allowed() {
        for value in [
            json!("readonly"),
            json!({"permissions": {"bash": "never"}}),
            json!({"permissions": {"shell": "deny"}}),
            json!({"permission": {"bash": "deny"}}),
            json!(7),
        ] {
            assert!(profile(value.clone()).is_err(), "{value}");
        }
    }
}

//! What a turn's profile asks of the agent: its instructions, and what it may do.

use sandbox_sdk::types::BackendChoice;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Whether the agent may do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Permission {
    #[default]
    Allow,
    /// Only when a person says so.
    Ask,
    Deny,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Profile {
    /// In place of the agent's own.
    pub(super) system_prompt: Option<String>,
    /// After either.
    pub(super) instructions: String,
    pub(super) bash: Permission,
    pub(super) edit: Permission,
    /// It names servers of tools, which this agent does not use.
    pub(super) has_mcp: bool,
    /// Tokens that the model may think for before it answers.
    pub(super) thinking: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Inline {
    /// For people.
    #[serde(rename = "name")]
    _name: Option<String>,
    system_prompt: Option<String>,
    instructions: Option<Instructions>,
    permissions: Permissions,
    mcp: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Instructions {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Permissions {
    bash: Permission,
    edit: Permission,
    /// Nothing to do: a sandbox has the network that its driver gives it, whatever an agent may.
    #[serde(rename = "network")]
    _network: Permission,
}

impl Profile {
    /// Reads `profile` (a name, or the profile itself) and `inlineProfile` of a backend.
    ///
    /// # Errors
    /// In words, when there is no such profile or it can't be understood: a permission that was
    /// misspelt must not be one that was given.
    pub(super) fn of(backend: Option<&BackendChoice>) -> Result<Self, String> {
        let Some(backend) = backend else { return Ok(Self::default()) };
        let mut profile = match backend.extra.get("profile") {
            None | Some(Value::Null) => Self::default(),
            Some(Value::String(name)) => Self::named(name)?,
            Some(inline) => Self::default().with(inline)?,
        };
        if let Some(inline) = backend.extra.get("inlineProfile").filter(|inline| !inline.is_null())
        {
            profile = profile.with(inline)?;
        }
        let model = backend.model.as_ref();
        profile.thinking = model.and_then(|model| model.extra.get("maxThinkingTokens")?.as_u64());
        Ok(profile)
    }

    fn named(name: &str) -> Result<Self, String> {
        let (bash, edit) = match name {
            "default" => (Permission::Allow, Permission::Allow),
            "read-only" => (Permission::Deny, Permission::Deny),
            "careful" => (Permission::Ask, Permission::Ask),
            _ => return Err(format!("There is no profile {name:?}.")),
        };
        Ok(Self { bash, edit, ..Self::default() })
    }

    fn with(self, inline: &Value) -> Result<Self, String> {
        let inline = Inline::deserialize(inline)
            .map_err(|error| format!("The profile can't be understood: {error}."))?;
        let instructions = match inline.instructions {
            None => self.instructions,
            Some(Instructions::One(text)) => text,
            Some(Instructions::Many(texts)) => texts.join("\n"),
        };
        Ok(Self {
            system_prompt: inline.system_prompt.or(self.system_prompt),
            instructions,
            // A name gives bounds that an inline profile can only narrow.
            bash: stricter(self.bash, inline.permissions.bash),
            edit: stricter(self.edit, inline.permissions.edit),
            has_mcp: inline.mcp.is_some_and(|servers| !servers.is_empty()),
            thinking: self.thinking,
        })
    }
}

fn stricter(one: Permission, other: Permission) -> Permission {
    match (one, other) {
        (Permission::Deny, _) | (_, Permission::Deny) => Permission::Deny,
        (Permission::Ask, _) | (_, Permission::Ask) => Permission::Ask,
        (Permission::Allow, Permission::Allow) => Permission::Allow,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(backend: Value) -> Result<Profile, String> {
        Profile::of(Some(&serde_json::from_value(backend).unwrap()))
    }

    #[test]
    fn profiles_have_names() {
        assert_eq!(of(json!({})).unwrap(), Profile::default());
        assert_eq!(of(json!({"profile": "default"})).unwrap(), Profile::default());
        let read_only = of(json!({"profile": "read-only"})).unwrap();
        assert_eq!((read_only.bash, read_only.edit), (Permission::Deny, Permission::Deny));
        assert!(of(json!({"profile": "reckless"})).unwrap_err().contains("reckless"));
    }

    #[test]
    fn a_profile_can_be_given_inline() {
        let inline = json!({"systemPrompt": "Be brief.", "instructions": ["a", "b"],
            "permissions": {"bash": "ask", "network": "deny"}, "mcp": {"x": {}}});
        for name in ["profile", "inlineProfile"] {
            let profile = of(json!({ name: inline })).unwrap();
            assert_eq!(profile.system_prompt.as_deref(), Some("Be brief."));
            assert_eq!(profile.instructions, "a\nb");
            assert_eq!((profile.bash, profile.edit), (Permission::Ask, Permission::Allow));
            assert!(profile.has_mcp);
        }
    }

    #[test]
    fn a_misspelt_permission_is_refused_and_a_name_is_not_widened() {
        for permissions in [json!({"bash": "no"}), json!({"shell": "deny"})] {
            assert!(of(json!({"profile": { "permissions": permissions }})).is_err());
        }
        let both = json!({"profile": "read-only",
            "inlineProfile": {"permissions": {"bash": "allow"}}});
        assert_eq!(of(both).unwrap().bash, Permission::Deny);
    }

    #[test]
    fn the_model_may_be_told_how_long_to_think() {
        let backend = json!({"model": {"model": "m", "maxThinkingTokens": 4096}});
        assert_eq!(of(backend).unwrap().thinking, Some(4096));
    }
}

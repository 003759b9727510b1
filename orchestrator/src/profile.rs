//! How an agent is told to behave: `backend.profile`, by name or inline, and `backend.inlineProfile`.

use std::collections::BTreeMap;

use sandbox_sdk::types::BackendChoice;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The fields of a backend that tell it.
pub(crate) const FIELDS: [&str; 2] = ["profile", "inlineProfile"];

/// What a profile asks for. The default allows all that the sandbox allows.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Profile {
    /// Only for people.
    pub(crate) name: Option<String>,
    /// Instead of the agent's own.
    pub(crate) system_prompt: Option<String>,
    /// In addition to the system prompt.
    #[serde(deserialize_with = "joined")]
    pub(crate) instructions: Option<String>,
    #[serde(alias = "permission")]
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
    /// Tools that reach into the network by way of the model's provider, past the sandbox's own.
    pub(crate) network: Permission,
}

impl Permissions {
    /// Whether nothing is asked for or denied.
    pub(crate) fn allows_all(self) -> bool {
        self == Self::default()
    }
}

/// Whether an agent may do something; the later, the stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Permission {
    #[default]
    Allow,
    /// Only when a person says so.
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
    ///
    /// # Errors
    /// In words, when there is no such profile or it can't be understood: a permission that was
    /// misspelt must not be one that was given.
    pub(crate) fn of(backend: Option<&BackendChoice>) -> Result<Self, String> {
        let given = |field| backend?.extra.get(field).filter(|value: &&Value| !value.is_null());
        let profile = match given("profile") {
            None => Self::default(),
            Some(Value::String(name)) => Self::named(name)?,
            Some(inline) => Self::read("profile", inline)?,
        };
        match given("inlineProfile") {
            None => Ok(profile),
            Some(inline) => Ok(profile.and(Self::read("inlineProfile", inline)?)),
        }
    }

    fn named(name: &str) -> Result<Self, String> {
        let permission = match name {
            "default" => Permission::Allow,
            "read-only" => Permission::Deny,
            "careful" => Permission::Ask,
            _ => {
                let known = "`default`, `read-only` and `careful`";
                return Err(format!("There is no profile {name:?}; there are {known}."));
            }
        };
        let network = if permission.is_allowed() { Permission::Allow } else { Permission::Deny };
        let permissions = Permissions { bash: permission, edit: permission, network };
        Ok(Self { permissions, ..Self::default() })
    }

    fn read(field: &str, inline: &Value) -> Result<Self, String> {
        let inline = unnested(inline);
        if inline.get("agent").is_some() {
            let why =
                "agent may hold a systemPrompt and nothing else, and none may stand beside it";
            return Err(format!("backend.{field} can't be understood: {why}."));
        }
        Self::deserialize(inline)
            .map_err(|error| format!("backend.{field} can't be understood: {error}."))
    }

    /// Both: what `inline` says counts, but it can only narrow what is permitted.
    fn and(mut self, inline: Self) -> Self {
        let (mine, other) = (self.permissions, inline.permissions);
        self.mcp.extend(inline.mcp);
        Self {
            name: inline.name.or(self.name),
            system_prompt: inline.system_prompt.or(self.system_prompt),
            instructions: inline.instructions.or(self.instructions),
            permissions: Permissions {
                bash: mine.bash.max(other.bash),
                edit: mine.edit.max(other.edit),
                network: mine.network.max(other.network),
            },
            mcp: self.mcp,
        }
    }
}

/// Clients of the protocol's first version write `agent: {systemPrompt}`. With anything else in it,
/// `agent` stays what it is: a field that nobody knows.
fn unnested(inline: &Value) -> Value {
    let mut flat = inline.clone();
    let Some(fields) = flat.as_object_mut() else { return flat };
    let agent = fields.get("agent").and_then(Value::as_object).filter(|agent| agent.len() == 1);
    let prompt = agent.and_then(|agent| agent.get("systemPrompt")).cloned();
    if let Some(prompt) = prompt.filter(|_| !fields.contains_key("systemPrompt")) {
        fields.remove("agent");
        fields.insert("systemPrompt".to_owned(), prompt);
    }
    flat
}

/// One text, or several that become its lines.
fn joined<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    let texts = Option::<Texts>::deserialize(source)?;
    Ok(texts.map(|texts| match texts {
        Texts::One(text) => text,
        Texts::Many(texts) => texts.join("\n"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(backend: Value) -> Result<Profile, String> {
        Profile::of(Some(&serde_json::from_value(backend).unwrap()))
    }

    fn profile(value: Value) -> Result<Profile, String> {
        of(json!({ "profile": value }))
    }

    #[test]
    fn a_turn_without_a_profile_may_do_what_the_sandbox_allows() {
        assert_eq!(Profile::of(None).unwrap(), Profile::default());
        assert_eq!(of(json!({"profile": null, "inlineProfile": null})), Ok(Profile::default()));
        assert_eq!(profile(json!("default")).unwrap(), Profile::default());
        assert!(Profile::default().permissions.bash.is_allowed());
    }

    #[test]
    fn names_and_inline_profiles_are_read() {
        let read_only = profile(json!("read-only")).unwrap().permissions;
        let denied = Permission::Deny;
        assert_eq!(read_only, Permissions { bash: denied, edit: denied, network: denied });
        let inline = json!({
            "systemPrompt": "s", "instructions": "i", "permissions": {"bash": "ask"},
            "mcp": {"a": {"command": "x", "args": ["y"]}, "b": {"url": "http://127.0.0.1:1/"}},
        });
        for field in ["profile", "inlineProfile"] {
            let inline = of(json!({ field: inline })).unwrap();
            assert_eq!(inline.system_prompt.as_deref(), Some("s"));
            assert_eq!(inline.permissions.bash, Permission::Ask);
            assert!(inline.permissions.edit.is_allowed());
            assert!(matches!(inline.mcp["b"], McpServer::Remote { .. }));
        }
    }

    #[test]
    fn the_spelling_of_the_protocols_first_version_means_the_same() {
        let first = json!({"agent": {"systemPrompt": "s"}, "permission": {"bash": "ask"}});
        let first = of(json!({ "inlineProfile": first })).unwrap();
        let now = json!({"systemPrompt": "s", "permissions": {"bash": "ask"}});
        assert_eq!(first, of(json!({ "inlineProfile": now })).unwrap());
        assert_eq!(first.permissions.bash, Permission::Ask);
    }

    #[test]
    fn instructions_may_be_several() {
        let several = profile(json!({"instructions": ["a", "b"]})).unwrap();
        assert_eq!(several.instructions.as_deref(), Some("a\nb"));
    }

    #[test]
    fn an_inline_profile_adds_to_a_name_and_does_not_widen_it() {
        let both = of(json!({
            "profile": "read-only",
            "inlineProfile": {"instructions": "i", "permissions": {"bash": "allow"}},
        }))
        .unwrap();
        assert_eq!(both.permissions, profile(json!("read-only")).unwrap().permissions);
        assert_eq!(both.instructions.as_deref(), Some("i"));
        let both = of(json!({
            "profile": {"systemPrompt": "s", "permissions": {"bash": "ask"}},
            "inlineProfile": {"permissions": {"bash": "deny", "edit": "ask"}},
        }))
        .unwrap();
        assert_eq!(
            (both.permissions.bash, both.permissions.edit),
            (Permission::Deny, Permission::Ask)
        );
        assert_eq!(both.system_prompt.as_deref(), Some("s"));
    }

    #[test]
    fn what_is_misspelt_is_refused_and_not_taken_for_allowed() {
        assert!(profile(json!("reckless")).unwrap_err().contains("reckless"));
        for value in [
            json!("readonly"),
            json!({"permissions": {"bash": "never"}}),
            json!({"permissions": {"shell": "deny"}}),
            json!({"permision": {"bash": "deny"}}),
            json!({"permission": {"bash": "deny"}, "permissions": {"bash": "allow"}}),
            json!({"agent": {"systemPrompt": "s", "maxTurns": 3}}),
            json!({"agent": {"systemPrompt": "s"}, "systemPrompt": "other"}),
            json!({"mcp": {"x": {}}}),
            json!(7),
        ] {
            assert!(profile(value.clone()).is_err(), "{value}");
            assert!(value.is_string() || of(json!({"inlineProfile": value})).is_err(), "{value}");
        }
    }
}

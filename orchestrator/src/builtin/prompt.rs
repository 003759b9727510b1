//! What the model is told before everything else. Short: small models read slowly and forget.

use crate::{
    profile::{Permission, Profile},
    tools::{Tools, cut_middle},
};

/// A project's own words for agents.
const GUIDE: &str = "/workspace/AGENTS.md";

const AGENT: &str = "You are Skein, an agent that works in a Linux sandbox for a person. \
    The working folder is /workspace. Do the work with your tools rather than describing it, and \
    check that it is right: run what you wrote. Look before you change: search and read files, \
    and never guess what is in them. Make independent calls at the same time. When a call fails, \
    read why and try another way. Don't ask before every step, but don't do what was not asked for. \
    When all is done, say in a few words what you did and what you found, in markdown and in the \
    person's language.";

const ASSISTANT: &str = "You are Skein, an assistant. You have no tools in this conversation: you \
    can't run commands and can't see or change files. Say so if that is needed, and answer from \
    what you know, in markdown and in the person's language.";

pub(super) fn system(profile: &Profile, has_tools: bool, guide: Option<&str>) -> String {
    let own = if has_tools { AGENT } else { ASSISTANT };
    let mut text = profile.system_prompt.clone().unwrap_or_else(|| own.to_owned());
    if has_tools {
        let asked = profile.permissions;
        for (what, permission) in [("run commands", asked.bash), ("change files", asked.edit)] {
            if permission == Permission::Deny {
                text.push_str(&format!(" You may not {what} in this turn."));
            }
        }
    }
    for more in [profile.instructions.as_deref(), guide] {
        let more = more.unwrap_or_default().trim();
        if !more.is_empty() {
            text.push_str("\n\n");
            text.push_str(more);
        }
    }
    text
}

/// The project's words for agents, if it has any.
pub(super) async fn guide(tools: &Tools, most: usize) -> Option<String> {
    let text = tools.read(GUIDE).await.ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| format!("The project's AGENTS.md says:\n{}", cut_middle(text, most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Permissions;

    #[test]
    fn the_profile_has_its_say() {
        let profile = Profile {
            system_prompt: Some("You are a pirate.".into()),
            instructions: Some("Be brief.".into()),
            permissions: Permissions { bash: Permission::Deny, ..Permissions::default() },
            ..Profile::default()
        };
        let text = system(&profile, true, Some("Use tabs."));
        assert_eq!(
            text,
            "You are a pirate. You may not run commands in this turn.\n\nBe brief.\n\nUse tabs."
        );
        assert!(system(&Profile::default(), false, None).contains("no tools"));
    }
}

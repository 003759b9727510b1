//! What a sandbox's programs find in their environment: what was given outright, and secrets.

use std::collections::BTreeMap;

use super::{super::SandboxError, check::MAX_ENV_BYTES, invalid};
use crate::sidecar::PATH;

type Variables = BTreeMap<String, String>;

/// Refuses more than fits. Linux starts no program with an environment that is too large.
pub(in super::super) fn check_room(
    given: &Variables,
    secrets: &Variables,
) -> Result<(), SandboxError> {
    let added = secrets.iter().filter(|(name, _)| !given.contains_key(*name));
    if bytes(given.iter().chain(added)) > MAX_ENV_BYTES {
        return invalid(format!(
            "env and secrets together must not be larger than {MAX_ENV_BYTES} bytes"
        ));
    }
    Ok(())
}

/// What was given, and of the secrets what fits beside it: they may have grown since they were
/// asked for. Where both have a name, what was given counts. Folders of programs come before those that
/// every sandbox has, and not in their place.
pub(in super::super) fn environment(given: &Variables, secrets: Variables) -> Variables {
    let mut environment = given.clone();
    let mut taken = bytes(given);
    for (name, value) in secrets {
        let more = bytes([(&name, &value)]);
        if environment.contains_key(&name) {
            continue;
        }
        if taken + more > MAX_ENV_BYTES {
            tracing::warn!(name, "a sandbox starts without a secret for which there is no room");
            continue;
        }
        taken += more;
        environment.insert(name, value);
    }
    if let Some(path) = environment.get_mut("PATH") {
        *path = format!("{path}:{PATH}");
    }
    environment
}

fn bytes<'a>(variables: impl IntoIterator<Item = (&'a String, &'a String)>) -> usize {
    variables.into_iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(variables: &[(&str, usize)]) -> Variables {
        variables.iter().map(|(name, size)| ((*name).to_owned(), "x".repeat(*size))).collect()
    }

    #[test]
    fn the_programs_of_every_sandbox_are_found_whatever_folders_are_given() {
        let given = Variables::from([("PATH".to_owned(), "/opt/x/bin".to_owned())]);
        let environment = environment(&given, Variables::new());
        assert_eq!(environment["PATH"], format!("/opt/x/bin:{PATH}"));
        assert!(!super::environment(&Variables::new(), Variables::new()).contains_key("PATH"));
    }

    #[test]
    fn what_does_not_fit_is_refused_at_first_and_left_out_later() {
        let given = variables(&[("G", MAX_ENV_BYTES - 101)]);
        for (secrets, fits) in [
            (variables(&[]), true),
            (variables(&[("A", 99)]), true),
            (variables(&[("A", 49), ("B", 49)]), true),
            (variables(&[("A", 100)]), false),
            (variables(&[("A", 49), ("B", 50)]), false),
            // What was given counts in its place, however large it is.
            (variables(&[("G", MAX_ENV_BYTES)]), true),
        ] {
            assert_eq!(check_room(&given, &secrets).is_ok(), fits, "{:?}", secrets.keys());
            let environment = environment(&given, secrets.clone());
            assert!(bytes(&environment) <= MAX_ENV_BYTES);
            assert_eq!(environment["G"], given["G"]);
            assert_eq!(secrets.keys().all(|name| environment.contains_key(name)), fits);
        }
        let small_beside_large = environment(&given, variables(&[("A", 100), ("B", 9)]));
        assert_eq!(small_beside_large.into_keys().collect::<Vec<_>>(), ["B", "G"]);
    }
}

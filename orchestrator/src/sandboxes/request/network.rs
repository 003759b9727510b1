//! What a sandbox may reach, and which of its ports can be reached.

use sandbox_sdk::types::CreateSandbox;
use serde_json::{Map, Value, json};

use super::{super::SandboxError, invalid, refused::asks};
use crate::{
    flaw::Flaw,
    network::{Entry, Policy},
    sidecar::PROXY_PORT,
    store::MAX_PORTS,
};

/// Field of a request.
const FIELD: &str = "network";
const ALLOW_LIST: &str = "network.allowList";
const PORTS: &str = "network.ports";
const MAX_ENTRIES: usize = 256;

/// What is asked for; what is not named is left as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NetworkAsk {
    pub(crate) block_outbound: Option<bool>,
    pub(crate) allow_list: Option<Vec<Entry>>,
    pub(crate) ports: Option<Vec<u16>>,
}

impl NetworkAsk {
    /// What a sandbox was made with, or changed to.
    pub(in super::super) fn of(request: &CreateSandbox) -> Result<Self, SandboxError> {
        match request.extra.get(FIELD).filter(|value| asks(value)) {
            None => Ok(Self::default()),
            Some(Value::Object(fields)) => Self::read(fields),
            Some(_) => Err(wrong(FIELD, "must be an object")),
        }
    }

    /// Reads the fields in any spelling.
    pub(crate) fn read(fields: &Map<String, Value>) -> Result<Self, SandboxError> {
        let mut ask = Self::default();
        for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let is_new = match plain(field).as_str() {
                "blockoutbound" => {
                    let block = value.as_bool();
                    let block = block
                        .ok_or_else(|| wrong("network.blockOutbound", "must be true or false"))?;
                    ask.block_outbound.replace(block).is_none()
                }
                "allowlist" => ask.allow_list.replace(entries(value)?).is_none(),
                "ports" => ask.ports.replace(ports(value)?).is_none(),
                // It is named among the warnings.
                _ => true,
            };
            if !is_new {
                return invalid("network names the same field twice");
            }
        }
        Ok(ask)
    }

    /// The first field that is none of a network's.
    pub(crate) fn unknown(fields: &Map<String, Value>) -> Option<&str> {
        fields.keys().map(String::as_str).find(|field| !is_read(field))
    }

    /// What may be reached; `None`: nothing is said of it.
    pub(crate) fn policy(&self) -> Option<Policy> {
        match (&self.allow_list, self.block_outbound) {
            (Some(entries), _) if !entries.is_empty() => Some(Policy::List(entries.clone())),
            (_, Some(false)) => Some(Policy::Open),
            (Some(_), _) | (None, Some(true)) => Some(Policy::None),
            (None, None) => None,
        }
    }

    /// The same, after a change.
    pub(in super::super) fn changed(self, change: &Self) -> Self {
        // Who takes the last entry off a list does not mean to open everything.
        let emptied = change.allow_list.as_ref().is_some_and(Vec::is_empty).then_some(true);
        let block_outbound = change.block_outbound.or(emptied).or(self.block_outbound);
        let allow_list = match (&change.allow_list, change.block_outbound) {
            (Some(entries), _) => Some(entries.clone()),
            // Who blocks all and names nothing means all.
            (None, Some(true)) => None,
            (None, _) => self.allow_list,
        };
        Self { block_outbound, allow_list, ports: change.ports.clone().or(self.ports) }
    }

    /// Puts it into a request, in the one spelling.
    pub(in super::super) fn write(&self, request: &mut CreateSandbox) {
        let mut fields = Map::new();
        if let Some(block) = self.block_outbound {
            fields.insert("blockOutbound".to_owned(), block.into());
        }
        if let Some(entries) = &self.allow_list {
            let entries: Vec<_> = entries.iter().map(Entry::text).collect();
            fields.insert("allowList".to_owned(), json!(entries));
        }
        if let Some(ports) = &self.ports {
            fields.insert("ports".to_owned(), json!(ports));
        }
        request.extra.insert(FIELD.to_owned(), fields.into());
    }
}

/// Whether a field of `network` is read.
pub(super) fn is_read(field: &str) -> bool {
    matches!(plain(field).as_str(), "blockoutbound" | "allowlist" | "ports")
}

/// Refuses a port that can't be opened to the outside.
pub(crate) fn check_port(port: u64) -> Result<u16, SandboxError> {
    match u16::try_from(port) {
        Ok(port) if port == PROXY_PORT => {
            invalid(format!("port {port} is the sandbox's own and can't be exposed"))
        }
        Ok(port @ 1024..) => Ok(port),
        _ => invalid("a port must be between 1024 and 65535: no program can have another one here"),
    }
}

/// Compared without case, `-` and `_`.
fn plain(field: &str) -> String {
    field.chars().filter(|c| !matches!(c, '-' | '_')).collect::<String>().to_ascii_lowercase()
}

fn entries(value: &Value) -> Result<Vec<Entry>, SandboxError> {
    let items = value.as_array().filter(|items| items.len() <= MAX_ENTRIES);
    let items = items.ok_or_else(|| {
        wrong(ALLOW_LIST, format!("must be a list of at most {MAX_ENTRIES} entries"))
    })?;
    let entry = |item: &Value| {
        let entry = item.as_str().and_then(Entry::parse);
        entry.ok_or_else(|| {
            let item: String = item.to_string().chars().take(80).collect();
            let words = "is not a host name, *.suffix, address or CIDR, with or without a port";
            wrong(ALLOW_LIST, format!("{item} {words}"))
        })
    };
    items.iter().map(entry).collect()
}

fn ports(value: &Value) -> Result<Vec<u16>, SandboxError> {
    let items = value.as_array().filter(|items| items.len() <= MAX_PORTS);
    let items = items
        .ok_or_else(|| wrong(PORTS, format!("must be a list of at most {MAX_PORTS} ports")))?;
    let port = |item: &Value| {
        check_port(item.as_u64().ok_or_else(|| wrong(PORTS, "must be whole numbers"))?)
    };
    let mut ports: Vec<u16> = items.iter().map(port).collect::<Result<_, _>>()?;
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

fn wrong(field: &str, words: impl AsRef<str>) -> SandboxError {
    SandboxError::Flawed(Flaw::new(field, words.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(network: Value) -> Result<NetworkAsk, SandboxError> {
        NetworkAsk::of(&serde_json::from_value(json!({"network": network})).unwrap())
    }

    fn policy(network: Value) -> Option<Policy> {
        asked(network).unwrap().policy()
    }

    fn list(names: &[&str]) -> Policy {
        Policy::List(names.iter().map(|name| Entry::parse(name).unwrap()).collect())
    }

    #[test]
    fn every_way_to_ask_is_understood_in_every_spelling() {
        assert_eq!(policy(json!({})), None);
        assert_eq!(policy(json!(null)), None);
        assert_eq!(policy(json!({"ports": [3000]})), None);
        assert_eq!(policy(json!({"blockOutbound": true})), Some(Policy::None));
        assert_eq!(policy(json!({"block_outbound": false})), Some(Policy::Open));
        assert_eq!(policy(json!({"allowList": []})), Some(Policy::None));
        for spelling in ["allowList", "allow_list", "allowlist", "ALLOW-LIST"] {
            for block in [json!(null), json!(true), json!(false)] {
                let asked = json!({spelling: ["a.example"], "blockOutbound": block});
                assert_eq!(policy(asked), Some(list(&["a.example"])), "{spelling} {block}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for network in [
            json!(true),
            json!("open"),
            json!({"blockOutbound": "yes"}),
            json!({"allowList": "a.example"}),
            json!({"allowList": ["https://a.example"]}),
            json!({"allowList": [1]}),
            json!({"allowList": vec!["a.example"; MAX_ENTRIES + 1]}),
            json!({"allowList": ["a"], "allow_list": ["b"]}),
            json!({"ports": [80]}),
            json!({"ports": [65536]}),
            json!({"ports": [PROXY_PORT]}),
            json!({"ports": ["3000"]}),
            json!({"ports": [-1]}),
            json!({"ports": (3000..3000 + MAX_PORTS + 1).collect::<Vec<_>>()}),
        ] {
            assert!(asked(network.clone()).is_err(), "{network}");
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name_and_what_is_written_is_read_again() {
        let made = asked(json!({"allowList": ["a.example"], "ports": [3000]})).unwrap();
        let changed = |change: Value| made.clone().changed(&asked(change).unwrap());
        assert_eq!(changed(json!({"blockOutbound": true})).policy(), Some(Policy::None));
        assert_eq!(changed(json!({"blockOutbound": false})).policy(), Some(list(&["a.example"])));
        let open = changed(json!({"blockOutbound": false, "allowList": []}));
        assert_eq!((open.policy(), &open.ports), (Some(Policy::Open), &Some(vec![3000])));
        assert_eq!(changed(json!({"ports": []})).policy(), made.policy());
        let listed = changed(json!({"blockOutbound": false}));
        let emptied = listed.changed(&asked(json!({"allowList": []})).unwrap());
        assert_eq!(emptied.policy(), Some(Policy::None));
        let mut request = CreateSandbox::default();
        open.write(&mut request);
        assert_eq!(NetworkAsk::of(&request).unwrap(), open);
    }
}

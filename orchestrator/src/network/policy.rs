//! What one sandbox may reach.

use std::net::IpAddr;

use super::{
    NetworkReach,
    entry::{Entry, WEB, name, split_port},
    here::is_here,
};
use crate::models::address::is_public;

/// Nothing, a list, or all that is public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    #[default]
    None,
    List(Vec<Entry>),
    Open,
}

/// Where a program wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// In small letters.
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// Reads `host:port`, as it stands in a request. Without a port, `default` is meant.
    pub(crate) fn parse(authority: &str, default: Option<u16>) -> Option<Self> {
        let (host, port) = split_port(authority)?;
        let host = match host.parse() {
            Ok(address @ IpAddr::V4(_)) if !authority.starts_with('[') => Host::Address(address),
            Ok(address @ IpAddr::V6(_)) if authority.starts_with('[') => Host::Address(address),
            Err(_) if !authority.starts_with('[') => Host::Name(name(host)?),
            _ => return None,
        };
        Some(Self { host, port: port.or(default)? })
    }

    /// Whether it is an address that never leaves this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        matches!(self.host, Host::Address(address) if address.is_loopback())
    }

    /// The line of an allow-list that opens it.
    pub(crate) fn entry(&self) -> String {
        let Self { host, port } = self;
        match host {
            host if WEB.contains(port) => host.to_string(),
            Host::Address(address @ IpAddr::V6(_)) => format!("[{address}]:{port}"),
            host => format!("{host}:{port}"),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => std::fmt::Display::fmt(address, f),
        }
    }
}

impl Policy {
    pub(crate) fn reach(&self) -> NetworkReach {
        match self {
            Self::None => NetworkReach::None,
            Self::List(_) => NetworkReach::List,
            Self::Open => NetworkReach::Open,
        }
    }

    /// What a person who runs this should know of a sandbox that has it.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        let words =
            "This sandbox reaches every public address, and can carry out whatever it holds.";
        (self.reach() == NetworkReach::Open).then_some(words)
    }

    /// Why this place is out of reach whatever its addresses are, in words for who wants to go there.
    /// Asked before a name is looked up: a look-up is a message to the outside, too.
    pub(super) fn refusal(&self, target: &Target) -> Option<String> {
        let Target { host, port } = target;
        match self {
            Self::None => Some("This sandbox has no network.".to_owned()),
            Self::Open => None,
            Self::List(entries) => {
                let mut named = entries.iter().filter(|entry| is_host(entry, host)).peekable();
                if named.peek().is_none() {
                    return Some(format!("{host} is not on this sandbox's allow-list."));
                }
                (!named.any(|entry| entry.has_port(*port)))
                    .then(|| format!("Port {port} of {host} is not on this sandbox's allow-list."))
            }
        }
    }

    /// Whether the place is within reach by what it says itself. A name may still lead elsewhere.
    pub(crate) fn may_reach(&self, target: &Target) -> bool {
        match target.host {
            Host::Name(_) => self.refusal(target).is_none(),
            Host::Address(address) => self.permits(target, address),
        }
    }

    /// Whether a connection may stand to this address of the place.
    pub(super) fn permits(&self, target: &Target, address: IpAddr) -> bool {
        self.refusal(target).is_none() && self.opens(address, target.port, is_here(address))
    }

    /// Whether the address is open at this port. `here`: it is this machine's, where nothing is meant
    /// for sandboxes but what is listed by this very address.
    fn opens(&self, address: IpAddr, port: u16, here: bool) -> bool {
        let entries: &[Entry] = match self {
            Self::None => return false,
            Self::Open => &[],
            Self::List(entries) => entries,
        };
        let mut named = entries.iter().filter(|entry| entry.has_port(port));
        if here {
            return named.any(|entry| entry.is_address(address));
        }
        is_public(address) || named.any(|entry| entry.means_private(address))
    }
}

fn is_host(entry: &Entry, host: &Host) -> bool {
    match host {
        Host::Name(name) => entry.has_name(name),
        Host::Address(address) => entry.has_address(*address),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(entries: &[&str]) -> Policy {
        Policy::List(entries.iter().map(|entry| Entry::parse(entry).unwrap()).collect())
    }

    fn target(text: &str) -> Target {
        Target::parse(text, None).unwrap_or_else(|| panic!("{text}"))
    }

    fn permits(policy: &Policy, place: &str, address: &str) -> bool {
        policy.permits(&target(place), address.parse().unwrap())
    }

    #[test]
    fn a_place_is_a_name_or_an_address_with_a_port() {
        assert_eq!(target("EXAMPLE.com.:443").host, Host::Name("example.com".to_owned()));
        assert_eq!(target("[::1]:80").host, Host::Address("::1".parse().unwrap()));
        for text in ["a", "a:0", "a:b", ":80", "::1:80", "[::1", "[a]:80", "u@a:80", "127.1:80"] {
            assert_eq!(Target::parse(text, None), None, "{text}");
        }
        assert_eq!(Target::parse("a.b", Some(80)).map(|target| target.port), Some(80));
    }

    #[test]
    fn a_list_opens_what_it_names_at_its_ports_and_nothing_else() {
        let policy = list(&["example.com", "*.example.org:8443", "127.0.0.1:7000", "10.0.0.0/8"]);
        for (place, address, permitted) in [
            ("example.com:443", "1.1.1.1", true),
            ("example.com:22", "1.1.1.1", false),
            ("a.example.com:443", "1.1.1.1", false),
            ("a.example.org:8443", "1.1.1.1", true),
            ("a.example.org:443", "1.1.1.1", false),
            ("1.1.1.1:443", "1.1.1.1", false),
            ("127.0.0.1:7000", "127.0.0.1", true),
            ("127.0.0.1:7001", "127.0.0.1", false),
            ("localhost:7000", "127.0.0.1", false),
            ("10.1.2.3:80", "10.1.2.3", true),
            ("10.1.2.3:81", "10.1.2.3", false),
            // A name that leads into a net which is named itself.
            ("example.com:80", "10.1.2.3", true),
            ("example.com:80", "127.0.0.1", false),
            ("example.com:80", "169.254.169.254", false),
        ] {
            assert_eq!(permits(&policy, place, address), permitted, "{place} {address}");
        }
    }

    #[test]
    fn open_means_public_addresses_in_every_form() {
        for address in ["1.1.1.1", "2606:4700::1111"] {
            assert!(permits(&Policy::Open, "a.b:443", address), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "::",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
        ] {
            assert!(!permits(&Policy::Open, "a.b:443", address), "{address}");
            assert!(
                !permits(&list(&["a.b", "0.0.0.0/0", "::/0"]), "a.b:443", address),
                "{address}"
            );
        }
        assert!(!permits(&Policy::None, "a.b:443", "1.1.1.1"));
    }

    #[test]
    fn this_machine_is_reached_by_the_very_address_that_is_listed_also_by_a_public_one() {
        let opens = |policy: &Policy, here| policy.opens("1.1.1.1".parse().unwrap(), 443, here);
        let lists = [list(&["a.b"]), list(&["1.1.1.0/24"]), list(&["1.1.1.1:80", "0.0.0.0/0"])];
        for policy in lists.iter().chain([&Policy::Open]) {
            assert!(opens(policy, false) && !opens(policy, true), "{policy:?}");
        }
        assert!(opens(&list(&["1.1.1.1"]), true));
        assert!(!permits(&list(&["127.0.0.0/8"]), "127.0.0.1:80", "127.0.0.1"));
    }

    #[test]
    fn a_place_that_is_out_of_reach_tells_the_line_that_opens_it() {
        for (place, line) in [
            ("A.b:443", "a.b"),
            ("a.b:80", "a.b"),
            ("a.b:8443", "a.b:8443"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("127.0.0.1:7000", "127.0.0.1:7000"),
            ("[2606:4700::1]:443", "2606:4700::1"),
            ("[::1]:7000", "[::1]:7000"),
        ] {
            let place = target(place);
            assert_eq!(place.entry(), line);
            assert!(!Policy::None.may_reach(&place) && !list(&["c.d"]).may_reach(&place), "{line}");
            assert!(list(&["c.d", line]).may_reach(&place), "{line}");
            assert_eq!(Policy::Open.may_reach(&place), !place.is_loopback(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_list_of_names_leads_into_a_private_net(address: u32, name in "[a-z]{1,9}\\.[a-z]{2,5}") {
            let address = IpAddr::from(std::net::Ipv4Addr::from(address));
            let place = Target::parse(&name, Some(443)).unwrap();
            prop_assert_eq!(list(&[&name]).permits(&place, address), is_public(address));
            prop_assert_eq!(Policy::Open.permits(&place, address), is_public(address));
        }

        #[test]
        fn nothing_that_comes_makes_a_place_panic(text in ".{0,80}") {
            drop(Target::parse(&text, Some(80)));
        }
    }
}

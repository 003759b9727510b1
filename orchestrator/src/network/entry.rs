//! One line of an allow-list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::models::address::is_public;

/// Ports of an entry that names none: those of the web.
pub(super) const WEB: [u16; 2] = [80, 443];
/// A name has no more characters.
const MAX_NAME: usize = 253;

/// `example.com`, `*.example.com`, `192.0.2.1`, `10.1.0.0/16`, each also with `:port`; an IPv6 address
/// with a port stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    place: Place,
    port: Option<u16>,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Name(String),
    /// Names that end with this, which begins with a dot.
    Below(String),
    Net {
        address: IpAddr,
        prefix: u8,
    },
}

impl Entry {
    /// Reads an entry; `None` for what is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (place, port) = split_port(text)?;
        let place = match net(place) {
            Some(net) => net,
            None if text.starts_with('[') || place.contains([':', '/']) => return None,
            None => match place.strip_prefix("*.") {
                Some(below) => Place::Below(format!(".{}", name(below)?)),
                None => Place::Name(name(place)?),
            },
        };
        Some(Self { place, port, text: text.to_owned() })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn has_port(&self, port: u16) -> bool {
        self.port.map_or(WEB.contains(&port), |own| own == port)
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        match &self.place {
            Place::Name(own) => own == name,
            Place::Below(below) => name.len() > below.len() && name.ends_with(below.as_str()),
            Place::Net { .. } => false,
        }
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        matches!(self.place, Place::Net { address: net, prefix } if contains(net, prefix, address))
    }

    /// Whether the entry is this very address.
    pub(super) fn is_address(&self, address: IpAddr) -> bool {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        self.place == Place::Net { address, prefix: longest }
    }

    /// Whether the entry means a place that is not public: it names it outright. `0.0.0.0/0` names
    /// nothing.
    pub(super) fn means_private(&self, address: IpAddr) -> bool {
        let Place::Net { address: net, prefix } = self.place else { return false };
        // 10.0.0.0/8 and fc00::/7 are the largest nets that anybody calls a private one.
        let is_narrow = prefix >= if net.is_ipv4() { 8 } else { 7 };
        let is_private = !is_public(net) && !is_public(last(net, prefix));
        is_narrow && is_private && contains(net, prefix, address)
    }
}

/// What stands before a port, and the port. Brackets are taken off.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        return match after {
            "" => Some((inside, None)),
            after => Some((inside, Some(port(after.strip_prefix(':')?)?))),
        };
    }
    match text.split_once(':') {
        Some((before, after)) if !after.contains(':') => Some((before, Some(port(after)?))),
        // An IPv6 address without brackets.
        _ => Some((text, None)),
    }
}

fn port(text: &str) -> Option<u16> {
    number(text).filter(|port| *port > 0)
}

/// Digits and nothing else: the parser would take a sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn net(text: &str) -> Option<Place> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address.parse::<IpAddr>().ok()?, Some(number::<u8>(prefix)?)),
        None => (text.parse().ok()?, None),
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(longest);
    (prefix <= longest).then_some(Place::Net { address, prefix })
}

/// A host name in the one spelling that is compared; `None` for what can't be one.
pub(super) fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(named)
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    // `127.1` and `2130706433` are addresses to old resolvers.
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    (text.len() <= MAX_NAME && text.split('.').all(is_label) && !is_number)
        .then(|| text.to_ascii_lowercase())
}

fn contains(net: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    net.is_ipv4() == address.is_ipv4() && bits(net) & mask == bits(address) & mask
}

/// The last address of a net.
fn last(net: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match net {
        IpAddr::V4(net) => {
            let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
            Ipv4Addr::from_bits(net.to_bits() | rest).into()
        }
        IpAddr::V6(net) => {
            let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
            Ipv6Addr::from_bits(net.to_bits() | rest).into()
        }
    }
}

/// The address, at the upper end.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> Entry {
        Entry::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn every_form_is_read_and_anything_else_is_not() {
        for text in [
            "example.com",
            "EXAMPLE.com.",
            "*.example.com:8443",
            "192.0.2.1",
            "192.0.2.1:8080",
            "10.0.0.0/8",
            "10.0.0.0/8:22",
            "2001:db8::1",
            "2001:db8::/32",
            "[2001:db8::1]:443",
            "[::1]",
        ] {
            assert!(Entry::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "*",
            "*.",
            "a..b",
            "https://example.com",
            "example.com/path",
            "example.com:0",
            "example.com:65536",
            "example.com:+80",
            "example.com:",
            "a b",
            "a*.example.com",
            "user@example.com",
            "[example.com]:80",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "1.2.3",
            "0x7f000001",
            "münchen.example",
            "a\0b",
        ] {
            assert_eq!(Entry::parse(text), None, "{text:?}");
        }
        assert_eq!(Entry::parse(&"a".repeat(64)), None);
        assert_eq!(Entry::parse(&"a.".repeat(200)), None);
    }

    #[test]
    fn a_star_stands_for_names_below_and_not_for_the_name_itself() {
        let below = entry("*.example.com");
        assert!(below.has_name("a.example.com") && below.has_name("a.b.example.com"));
        for other in ["example.com", "badexample.com", ".example.com", "a.example.com.evil.net"] {
            assert!(!below.has_name(other), "{other}");
        }
    }

    #[test]
    fn an_entry_without_a_port_means_those_of_the_web() {
        assert!(entry("a.b").has_port(80) && entry("a.b").has_port(443));
        assert!(!entry("a.b").has_port(22) && !entry("a.b:22").has_port(443));
    }

    #[test]
    fn only_a_net_that_is_private_itself_opens_private_addresses() {
        let private = |net: &str, address: &str| entry(net).means_private(address.parse().unwrap());
        assert!(private("10.0.0.0/8", "10.1.2.3"));
        assert!(private("127.0.0.1", "127.0.0.1"));
        assert!(private("fd00::/8", "fd00::1"));
        assert!(!private("0.0.0.0/0", "10.0.0.1"));
        assert!(!private("0.0.0.0/1", "127.0.0.1"));
        assert!(!private("::/0", "::1"));
        assert!(!private("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(!private("10.0.0.0/8", "11.0.0.1"));
        // Its first address is a special one, and most of the rest is not.
        assert!(!private("192.0.0.0/8", "192.168.0.1"));
        assert!(private("192.168.0.0/16", "192.168.0.1"));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_it_panic_and_what_is_read_is_read_again(text in ".{0,80}") {
            if let Some(entry) = Entry::parse(&text) {
                prop_assert_eq!(Entry::parse(entry.text()), Some(entry));
            }
        }

        #[test]
        fn a_net_holds_what_begins_like_it(net: u32, address: u32, prefix in 0_u8..=32) {
            let same = prefix == 0 || (net ^ address) >> (32 - u32::from(prefix)) == 0;
            let (net, address) = (std::net::Ipv4Addr::from(net), std::net::Ipv4Addr::from(address));
            let entry = entry(&format!("{net}/{prefix}"));
            prop_assert_eq!(entry.has_address(address.into()), same);
        }
    }
}

//! Where the orchestrator may connect to on somebody's word.
//!
//! Addresses of the configuration are the operator's and taken as they are. One that comes with a
//! call must not lead into the network around this machine, whatever its name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Which addresses a connection may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those that are routed everywhere.
    Public,
    /// This machine itself.
    Loopback,
}

impl Reach {
    pub(super) fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Loopback => address.is_loopback(),
        }
    }
}

/// Resolves names, and forgets the addresses that are out of reach. It is asked for every new
/// connection, so that a name can't change its mind after the check.
#[derive(Debug)]
pub(crate) struct GuardedResolver(pub(crate) Reach);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let within: Vec<SocketAddr> =
                found.filter(|address| reach.allows(address.ip())).collect();
            if within.is_empty() {
                return Err("the name leads to addresses that may not be connected to".into());
            }
            Ok(Box::new(within.into_iter()) as Addrs)
        })
    }
}

/// A base URL without credentials, query and fragment. What it says must be a plain place.
pub(crate) fn plain(url: &str) -> Result<Url, String> {
    let url = Url::parse(url.trim()).map_err(|_| "it is not an absolute URL".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("it is not an http or https URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into it".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it must end with its path".to_owned());
    }
    Ok(url)
}

/// Checks a base URL that came with a call: `https` to public addresses, `http` to this machine.
pub(crate) fn foreign(url: &str) -> Result<(Url, Reach), String> {
    let url = plain(url)?;
    let reach = if url.scheme() == "https" { Reach::Public } else { Reach::Loopback };
    let refused = || match reach {
        Reach::Public => "it leads into a private network".to_owned(),
        Reach::Loopback => "http is for this machine only; use https".to_owned(),
    };
    match literal(&url) {
        Some(address) if reach.allows(address) => {}
        Some(_) => return Err(refused()),
        // Only the one name that is this machine everywhere.
        None if reach == Reach::Loopback && url.host_str() != Some("localhost") => {
            return Err(refused());
        }
        None => {}
    }
    Ok((url, reach))
}

/// Whether the URL is on this machine by what it says.
pub(crate) fn is_loopback(url: &Url) -> bool {
    literal(url).map_or(url.host_str() == Some("localhost"), |address| address.is_loopback())
}

/// The address that stands in the URL itself. It would never be resolved.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Whether an address is routed everywhere and belongs to no net with a special use.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Carrier-grade NAT, protocol assignments, old relays, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

/// Global unicast, without the ranges that carry another address inside.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global = a & 0xe000 == 0x2000;
    let special = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || a == 0x2002 || a & 0xfff0 == 0x3ff0;
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_from_outside_leads_to_public_https_or_to_this_machine() {
        for url in [
            "https://api.example.com/v1",
            "https://1.1.1.1:8443/v1",
            "https://[2606:4700::1111]/v1",
            "http://127.0.0.1:11434/v1",
            "http://localhost:1234",
            "http://[::1]:8080/v1",
        ] {
            assert!(foreign(url).is_ok(), "{url}: {:?}", foreign(url));
        }
    }

    #[test]
    fn private_ranges_are_refused_in_every_spelling() {
        for url in [
            "http://api.example.com/v1",
            "http://10.0.0.1/v1",
            "https://10.0.0.1/v1",
            "https://192.168.1.10/v1",
            "https://172.16.0.1/v1",
            "https://169.254.169.254/latest",
            "https://100.100.100.200/",
            "https://0.0.0.0/",
            "http://0.0.0.0:4095/",
            "https://127.0.0.1/",
            "https://0x0a000001/",
            "https://167772161/",
            "https://012.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "http://[::ffff:127.0.0.1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://255.255.255.255/",
            "https://198.18.0.1/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "https://user:secret@api.example.com/",
            "https://api.example.com/v1?x=1",
            "https://api.example.com/v1#x",
            "ftp://api.example.com/",
            "unix:/run/x.sock",
            "file:///etc/passwd",
            "",
        ] {
            assert!(foreign(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_out_of_reach_is_not_connected_to() {
        let name = || "localhost".parse().unwrap();
        assert!(GuardedResolver(Reach::Public).resolve(name()).await.is_err());
        let mut here = GuardedResolver(Reach::Loopback).resolve(name()).await.ok().unwrap();
        assert!(here.all(|address| address.ip().is_loopback()));
    }
}

//! Proxies in front of this server, whose word about the client and its trace counts.

use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;

/// Networks of our own proxies. Empty: nobody's word counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Why a configured network can't be one.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address or network; write it as 10.0.0.0/8")]
pub struct ProxyError(String);

impl TrustedProxies {
    /// Reads addresses and networks in CIDR notation.
    ///
    /// # Errors
    /// When one is neither.
    pub fn parse<T: AsRef<str>>(networks: &[T]) -> Result<Self, ProxyError> {
        let parsed = networks.iter().map(|text| text.as_ref().trim().parse());
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// The client behind a connection from `peer`: the last address in `X-Forwarded-For` that is not
    /// one of our proxies. What stands further left, anybody could have written.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let hops = headers.get_all("x-forwarded-for").iter().rev().flat_map(|header| {
            header.to_str().unwrap_or("?").rsplit(',').map(|hop| hop.trim().parse::<IpAddr>())
        });
        for hop in hops {
            if !self.contains(client) {
                break;
            }
            // An unreadable hop can't be judged: the proxy that passed it on stands for the client.
            let Ok(hop) = hop else { break };
            client = hop.to_canonical();
        }
        client
    }

    /// Whether a connection from `peer` is one of our proxies'.
    pub(crate) fn is_ours(&self, peer: IpAddr) -> bool {
        self.contains(peer.to_canonical())
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let shared = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        shared >= self.prefix
    }
}

impl FromStr for Network {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let refused = || ProxyError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| refused())?;
        if prefix > longest {
            return Err(refused());
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = TrustedProxies::parse(trusted).unwrap();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn without_trusted_proxies_the_peer_is_the_client() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.9"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_names_the_client() {
        assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.9"]), "198.51.100.9");
        let chain = ["203.0.113.66, 198.51.100.9", "10.9.9.9"];
        assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", &chain), "198.51.100.9");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        let forged = ["1.1.1.1, 2.2.2.2", "198.51.100.9"];
        assert_eq!(client(&["::1"], "::1", &forged), "198.51.100.9");
        assert_eq!(client(&["::1"], "198.51.100.9", &forged), "198.51.100.9");
    }

    #[test]
    fn an_unreadable_hop_leaves_the_proxy_as_the_client() {
        assert_eq!(client(&["10.0.0.1"], "10.0.0.1", &["1.1.1.1, nonsense"]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.1"], "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "proxy", "10.0.0.0/-1"] {
            assert!(TrustedProxies::parse(&[text]).is_err(), "{text:?}");
        }
    }
}

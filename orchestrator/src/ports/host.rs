//! Names of ports: how they are written, and which requests are for one.

use http::{HeaderMap, Uri, header::HOST, uri::Scheme};
use reqwest::Url;

/// Where ports are reached: names below this domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preview {
    scheme: Scheme,
    /// In small letters.
    domain: String,
    port: Option<u16>,
}

/// What a name says. Whether there is such a port is another question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) key: i64,
    pub(super) port: u16,
    pub(super) tag: String,
}

/// Something that looks like a port's name and is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unnamed;

impl Preview {
    /// `localhost`, or `https://preview.example.com` where something stands before this program. A
    /// domain alone is reached at the port that this program listens on.
    pub(crate) fn parse(text: &str, listens_on: u16) -> Option<Self> {
        let text = text.trim();
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&url).ok()?;
        let is_plain = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let scheme = match url.scheme() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return None,
        };
        // Nothing can stand below an address.
        let domain = url.domain().filter(|_| is_plain)?.trim_end_matches('.').to_ascii_lowercase();
        let own = (!text.contains("://")).then_some(listens_on);
        Some(Self { scheme, domain, port: url.port().or(own) })
    }

    /// The origin of a port's name.
    pub(super) fn url(&self, label: &str) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{label}.{}{port}/", self.scheme, self.domain)
    }

    /// `http` or `https`, as browsers see it.
    pub(super) fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// Which port a request is for; `None`: none, it is for the API.
    pub(super) fn wanted(&self, uri: &Uri, headers: &HeaderMap) -> Option<Result<Named, Unnamed>> {
        let hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let mut places: Vec<&str> =
            hosts.chain(uri.authority().map(|place| place.as_str())).collect();
        places.dedup();
        let mut read = places.iter().map(|place| self.read(place));
        if places.len() == 1 {
            return read.next().flatten();
        }
        // Two places: nobody else shall read another one of them.
        read.any(|read| read.is_some()).then_some(Err(Unnamed))
    }

    /// Reads a host with or without a port; `None` for one that is no name of a port.
    pub(super) fn read(&self, host: &str) -> Option<Result<Named, Unnamed>> {
        let host = host.to_ascii_lowercase();
        let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
        let host = host.strip_suffix('.').unwrap_or(host);
        let label = host.strip_suffix(self.domain.as_str())?.strip_suffix('.')?;
        let (port, secret) = label.strip_prefix('p')?.split_once('-')?;
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(named(port, secret).ok_or(Unnamed))
    }
}

fn named(port: &str, secret: &str) -> Option<Named> {
    let is_hex = secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (key, tag) = secret.split_at_checked(16).filter(|_| is_hex)?;
    Some(Named {
        key: i64::from_str_radix(key, 16).ok()?,
        port: port.parse().ok()?,
        tag: tag.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "p3000-0000000000000007000102030405060708090a0b0c0d0e0f";

    fn local() -> Preview {
        Preview::parse("localhost", 4095).unwrap()
    }

    #[test]
    fn ports_are_named_below_the_domain_wherever_it_is() {
        for (text, url) in [
            ("localhost", "http://p1-x.localhost:4095/"),
            ("preview.example.com", "http://p1-x.preview.example.com:4095/"),
            ("preview.example.com:81", "http://p1-x.preview.example.com:81/"),
            ("https://Preview.example.com", "https://p1-x.preview.example.com/"),
            ("https://preview.example.com:8443/", "https://p1-x.preview.example.com:8443/"),
        ] {
            assert_eq!(Preview::parse(text, 4095).unwrap().url("p1-x"), url);
        }
        for text in ["", "127.0.0.1", "https://a.b/c", "ftp://a.b", "u:p@a.b", "a b", "[::1]"] {
            assert_eq!(Preview::parse(text, 4095), None, "{text}");
        }
    }

    #[test]
    fn a_request_is_for_a_port_by_its_host_and_nothing_else() {
        let wanted = |uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            local().wanted(&uri.parse().unwrap(), &headers)
        };
        let host = format!("{LABEL}.localhost:4095");
        for host in [host.clone(), host.to_uppercase(), format!("{LABEL}.localhost.")] {
            assert!(matches!(wanted("/", &[&host]), Some(Ok(Named { key: 7, port: 3000, .. }))));
        }
        assert!(matches!(wanted(&format!("http://{host}/"), &[&host]), Some(Ok(_))));
        for api in ["localhost:4095", "127.0.0.1:4095", "p.localhost", "x-1.localhost", LABEL, ""] {
            assert_eq!(wanted("/", &[api]), None, "{api}");
        }
        assert_eq!(wanted(&format!("/{host}"), &["localhost"]), None);
        // What looks like one never gets to the API.
        for odd in ["p1-.localhost", "p99999-00.localhost", "p1-zz.localhost", "p1-0.0.localhost"] {
            assert_eq!(wanted("/", &[odd]), Some(Err(Unnamed)), "{odd}");
        }
        for hosts in [[host.as_str(), "localhost"], ["localhost", host.as_str()]] {
            assert_eq!(wanted("/", &hosts), Some(Err(Unnamed)));
        }
        assert_eq!(wanted("http://localhost/", &[&host]), Some(Err(Unnamed)));
        assert_eq!(wanted(&format!("http://{host}/"), &["localhost"]), Some(Err(Unnamed)));
    }
}

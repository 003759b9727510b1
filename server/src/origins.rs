//! Origins: under which names a browser may reach this server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use http::Uri;

/// `scheme://host[:port]`, in the form in which browsers send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    /// Host and port, as in the `Host` header.
    authority: String,
}

/// Why a configured origin can't be one.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no origin; write it as https://chat.example.com")]
pub struct OriginError(String);

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refused = || OriginError(text.to_owned());
        let uri: Uri = text.trim().parse().map_err(|_| refused())?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused()),
        };
        let authority = uri.authority().ok_or_else(refused)?.as_str().to_ascii_lowercase();
        if authority.contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused());
        }
        // Browsers leave out the port that goes without saying.
        let usual = if https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority).to_owned();
        Ok(Self { https, authority })
    }
}

impl Origin {
    /// Without the port.
    fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }
}

/// Whether a host, as it stands in an address, is the browser's own machine.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }
}

/// The origins of one server; at least one.
#[derive(Clone, Debug)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// The configured origins, or those that follow from the listen address.
    pub fn new(configured: &[Origin], listen: SocketAddr) -> Self {
        if !configured.is_empty() {
            return Self(configured.to_vec());
        }
        let port = listen.port();
        let http = |host: &dyn fmt::Display| Origin {
            https: false,
            authority: if port == 80 { host.to_string() } else { format!("{host}:{port}") },
        };
        let host = match listen.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        let own = match host {
            IpAddr::V4(v4) => http(&v4),
            IpAddr::V6(v6) => http(&format_args!("[{v6}]")),
        };
        if host.is_loopback() { Self(vec![own, http(&"localhost")]) } else { Self(vec![own]) }
    }

    /// The first one: what people are told to open.
    pub fn main(&self) -> Option<&Origin> {
        self.0.first()
    }

    /// All of them, as browsers send them.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(Origin::to_string).collect()
    }

    /// Whether every one is served over TLS.
    pub fn are_https(&self) -> bool {
        self.0.iter().all(|origin| origin.https)
    }

    /// What in this configuration can't work in a browser, in one line each.
    pub fn mistakes(&self, gateway_url: &str) -> Vec<String> {
        let gateway: Option<Uri> = gateway_url.parse().ok();
        let gateway_host = gateway.as_ref().and_then(Uri::host).unwrap_or_default();
        let insecure = gateway.as_ref().and_then(Uri::scheme_str) == Some("ws");
        let of = |origin: &Origin| {
            if is_loopback(origin.host()) {
                return None;
            }
            if !origin.https {
                return Some(format!(
                    "browsers keep no session cookies of {origin}; serve it over https, and say so in \
                     SKEIN_ORIGIN"
                ));
            }
            (insecure || is_loopback(gateway_host)).then(|| {
                format!(
                    "browsers can't reach the gateway {gateway_url} from {origin}; name a wss:// address \
                     in SKEIN_GATEWAY_URL"
                )
            })
        };
        self.0.iter().filter_map(of).collect()
    }

    /// Whether a request for this host is meant for us.
    pub fn knows_host(&self, host: &str) -> bool {
        self.0.iter().any(|origin| {
            let usual = if origin.https { ":443" } else { ":80" };
            let host = host.strip_suffix(usual).unwrap_or(host);
            host.eq_ignore_ascii_case(&origin.authority)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        let written = |text: &str| text.parse::<Origin>().unwrap().to_string();
        assert_eq!(written("https://Chat.Example.com:443/"), "https://chat.example.com");
        assert_eq!(written("http://127.0.0.1:3000"), "http://127.0.0.1:3000");
        assert_eq!(written(" http://localhost:80 "), "http://localhost");
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in ["", "*", "null", "chat.example.com", "ftp://a", "https://a/b", "https://u@a"] {
            assert!(text.parse::<Origin>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn without_configuration_the_listen_address_is_the_origin() {
        let of = |address: &str| Origins::new(&[], address.parse().unwrap()).to_strings();
        assert_eq!(of("127.0.0.1:3000"), ["http://127.0.0.1:3000", "http://localhost:3000"]);
        assert_eq!(of("0.0.0.0:80"), ["http://127.0.0.1", "http://localhost"]);
        assert_eq!(of("[::1]:3000"), ["http://[::1]:3000", "http://localhost:3000"]);
        assert_eq!(of("192.0.2.7:3000"), ["http://192.0.2.7:3000"]);
    }

    #[test]
    fn what_browsers_would_refuse_is_told_in_one_line() {
        let told = |origin: &str, gateway: &str| {
            let mistakes = Origins(vec![origin.parse().unwrap()]).mistakes(gateway);
            assert!(mistakes.iter().all(|mistake| mistake.lines().count() == 1), "{mistakes:?}");
            mistakes.join("\n")
        };
        let (local, public) = ("ws://127.0.0.1:4095/session", "wss://chat.example.com/session");
        for fine in ["http://127.0.0.1:3000", "http://localhost", "http://[::1]:3000"] {
            assert_eq!(told(fine, local), "", "{fine}");
        }
        assert_eq!(told("https://localhost:8443", local), "");
        assert_eq!(told("https://chat.example.com", public), "");
        assert!(told("http://192.0.2.7:3000", local).contains("SKEIN_ORIGIN"));
        assert!(told("http://chat.example.com", public).contains("SKEIN_ORIGIN"));
        assert!(told("https://chat.example.com", local).contains("SKEIN_GATEWAY_URL"));
        let insecure = "ws://gateway.example.com/session";
        assert!(told("https://chat.example.com", insecure).contains("SKEIN_GATEWAY_URL"));
    }

    #[test]
    fn only_hosts_of_our_origins_are_known() {
        let origins =
            Origins::new(&["https://chat.example.com".parse().unwrap()], ([0; 4], 1).into());
        assert!(origins.knows_host("chat.example.com"));
        assert!(origins.knows_host("CHAT.example.com:443"));
        assert!(!origins.knows_host("chat.example.com:80"));
        assert!(!origins.knows_host("chat.example.com.evil.test"));
        assert!(!origins.knows_host("127.0.0.1:3000"));
        assert!(!origins.knows_host(""));
    }
}

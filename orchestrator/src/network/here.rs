//! Which addresses are this machine's own.

use std::net::{IpAddr, UdpSocket};

/// Whether a connection to the address would stay on this machine. What listens here on every
/// address is reached by its public ones, too, and past each firewall.
pub(super) fn is_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    // Nobody can have an address that is another machine's. Nothing is sent.
    address.is_loopback() || address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_every_address_of_its_own() {
        for own in ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1"] {
            assert!(is_here(own.parse().unwrap()), "{own}");
        }
        for other in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(!is_here(other.parse().unwrap()), "{other}");
        }
        // The address by which it would reach others, if there is one.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            assert!(is_here(socket.local_addr().unwrap().ip()));
        }
    }
}

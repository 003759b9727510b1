//! Which addresses are this machine's own.

use std::{
    io,
    net::{IpAddr, UdpSocket},
};

use rustix::io::Errno;

/// Whether a connection to the address would stay on this machine. What listens here on every
/// address is reached by its public ones, too, and past each firewall.
pub(super) fn is_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    // Nobody can have an address that is another machine's. Nothing is sent.
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        Err(error) => !tells_elsewhere(&error),
    }
}

/// Whether it failed since the address is none of this machine's. What fails for another reason, as
/// without a free file descriptor, says nothing of the address.
fn tells_elsewhere(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_not_find_out_takes_an_address_for_this_machines() {
        for (errno, is_elsewhere) in [
            (Errno::ADDRNOTAVAIL, true),
            // Such as IPv6, where there is none.
            (Errno::AFNOSUPPORT, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOBUFS, false),
            (Errno::NOMEM, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(tells_elsewhere(&errno.into()), is_elsewhere, "{errno}");
        }
    }

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

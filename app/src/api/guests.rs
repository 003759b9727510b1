//! How many guests one client may become, each of which is given credits.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::error::AppError;

/// Guests that a client may make in one go, where that is no more than in an hour.
const BURST: u32 = 5;
/// A client with many networks of its own may make so many times as many guests in all of them.
const SITE_SHARE: u32 = 4;
/// Clients whose allowance is whole again are forgotten no more often than this, and not before there
/// are so many of them.
const FORGET_EVERY: Duration = Duration::from_secs(60);
const FORGET_FROM: usize = 10_000;

/// Limits new guests by network.
#[derive(Clone)]
pub struct GuestLimiter(Option<Arc<Allowances>>);

struct Allowances {
    /// By the part of an address that one client holds.
    networks: DefaultKeyedRateLimiter<IpAddr>,
    /// By the part of an IPv6 address that a site may hold, with 65 536 networks in it.
    sites: DefaultKeyedRateLimiter<Ipv6Addr>,
    forgotten_at: Mutex<Instant>,
}

impl std::fmt::Debug for GuestLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GuestLimiter").field(&self.0.is_some()).finish()
    }
}

impl GuestLimiter {
    /// At most `per_hour` new guests a client and hour; 0 sets no limit.
    pub fn new(per_hour: u32) -> Self {
        let quota = |share| {
            let per_hour = NonZeroU32::new(per_hour.saturating_mul(share))?;
            // A quarter of an hour's allowance at once; all of a small one.
            let burst = NonZeroU32::new(per_hour.get().min(BURST * share).max(per_hour.get() / 4))?;
            Some(Quota::per_hour(per_hour).allow_burst(burst))
        };
        Self(quota(1).zip(quota(SITE_SHARE)).map(|(network, site)| {
            Arc::new(Allowances {
                networks: DefaultKeyedRateLimiter::keyed(network),
                sites: DefaultKeyedRateLimiter::keyed(site),
                forgotten_at: Mutex::new(Instant::now()),
            })
        }))
    }

    pub(super) fn check(&self, client: IpAddr) -> Result<(), AppError> {
        let Some(allowances) = &self.0 else { return Ok(()) };
        allowances.forget_the_rested();
        let network = network(client);
        let mut checked = allowances.networks.check_key(&network);
        if let (Ok(()), IpAddr::V6(v6)) = (&checked, network) {
            checked = allowances.sites.check_key(&prefix(v6, 48));
        }
        checked.map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            AppError::RateLimited { retry_after_s: wait.as_secs() + 1 }
        })
    }
}

impl Allowances {
    /// So that the tables can't be filled up. Looking through them takes time, too.
    fn forget_the_rested(&self) {
        if self.networks.len() + self.sites.len() <= FORGET_FROM {
            return;
        }
        let mut last = self.forgotten_at.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() > FORGET_EVERY {
            *last = Instant::now();
            self.networks.retain_recent();
            self.sites.retain_recent();
        }
    }
}

/// The part of an address that one client holds: all of IPv4, the first 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => prefix(v6, 64).into(),
        v4 => v4,
    }
}

fn prefix(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    /// How many guests a client gets in one go.
    fn in_one_go(limiter: &GuestLimiter, client: IpAddr) -> usize {
        (0..10_000).take_while(|_| limiter.check(client).is_ok()).count()
    }

    #[test]
    fn guests_of_one_network_share_one_allowance() {
        let limiter = GuestLimiter::new(2);
        assert!(limiter.check(ip("2001:db8::1")).is_ok());
        assert!(limiter.check(ip("2001:db8::2")).is_ok());
        assert!(matches!(
            limiter.check(ip("2001:db8::3")),
            Err(AppError::RateLimited { retry_after_s }) if retry_after_s > 0
        ));
        assert!(limiter.check(ip("2001:db8:0:1::1")).is_ok());
        assert!(limiter.check(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn the_networks_of_one_site_share_a_larger_one() {
        let limiter = GuestLimiter::new(2);
        let made = (0..100_u128).filter(|network| {
            let site = "2001:db8::".parse::<Ipv6Addr>().unwrap().to_bits();
            limiter.check(Ipv6Addr::from_bits(site | (network << 64)).into()).is_ok()
        });
        assert_eq!(made.count(), 8);
        assert!(limiter.check(ip("2001:db8:1::")).is_ok(), "another site");
    }

    #[test]
    fn not_all_of_an_hours_allowance_is_had_in_one_go() {
        let made = |per_hour| in_one_go(&GuestLimiter::new(per_hour), ip("192.0.2.1"));
        assert_eq!([made(1), made(5), made(20)], [1, 5, 5]);
        // Every other second one more comes free.
        assert!((500..520).contains(&made(2000)));
    }

    #[test]
    fn an_ipv4_address_inside_ipv6_is_the_same_client() {
        assert_eq!(network(ip("::ffff:192.0.2.1")).to_string(), "192.0.2.1");
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        assert_eq!(in_one_go(&GuestLimiter::new(0), ip("127.0.0.1")), 10_000);
    }
}

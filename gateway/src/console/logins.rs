//! Wrong keys at the console's door: five a minute of an address.
//!
//! Invariant: a right key is taken whatever others send from the same address, and what is remembered of addresses is bounded.

use crate::keys::refusals::network;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Of an address, in a minute.
const WRONG: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
/// Addresses that are remembered. Whoever comes from another one then is refused as if it had sent five.
const MOST_ADDRESSES: usize = 10_000;

pub struct Logins(DefaultKeyedRateLimiter<IpAddr>);

impl Default for Logins {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(WRONG)))
    }
}

impl Logins {
    /// A wrong key came from there. False: it was one too many.
    pub fn wrong(&self, address: IpAddr) -> bool {
        metrics::counter!("holdfast_logins_refused_total").increment(1);
        self.0.len() < MOST_ADDRESSES && self.0.check_key(&network(address)).is_ok()
    }

    /// Forgets addresses that could send as many again as any other.
    pub fn forget(&self) {
        self.0.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_wrong_key_of_an_address_is_one_too_many() {
        let logins = Logins::default();
        let many = |address: &str| (0..6).filter(|_| logins.wrong(address.parse().unwrap())).count();
        assert_eq!([many("10.0.0.1"), many("10.0.0.2"), many("2001:db8::1")], [5; 3]);
        assert_eq!(many("2001:db8::2"), 0, "one network is one caller");
    }
}

//! Refused API keys: counted, and answered ever more slowly to who sends many of them.
//!
//! Invariants: a right key never waits, whatever others send from the same address; what is remembered and who waits are bounded.

use actix_web::dev::ServiceResponse;
use actix_web::http::{ConnectionType, StatusCode, header::WWW_AUTHENTICATE};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Of an address at once, and then one a second: more wait.
const BURST: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
const PAUSE: Duration = Duration::from_secs(1);
/// Answers that may wait at once. Whoever comes then is answered at once, and his connection is closed.
const MOST_WAITING: usize = 1_000;
/// Addresses that are remembered. Whoever comes from another one then is treated as if it had sent many.
const MOST_ADDRESSES: usize = 10_000;

pub struct Refusals {
    recent: DefaultKeyedRateLimiter<IpAddr>,
    waiting: AtomicUsize,
}

impl Default for Refusals {
    fn default() -> Self {
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(BURST);
        Self { recent: RateLimiter::keyed(quota), waiting: AtomicUsize::new(0) }
    }
}

/// What becomes of an answer.
enum Pace<'a> {
    AtOnce,
    After(Waiting<'a>),
    AndClose,
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether an answer refuses a key: not that there was none.
pub fn is_refusal(response: &ServiceResponse) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        && response.headers().get(WWW_AUTHENTICATE).is_some_and(|challenge| challenge == WRONG_KEY)
}

/// The challenge to who sent a wrong key (RFC 6750, section 3.1).
pub const WRONG_KEY: &str = "Bearer error=\"invalid_token\"";

impl Refusals {
    /// Holds the answer back for as long as it has to be.
    pub async fn hold(&self, address: IpAddr, response: &mut ServiceResponse) {
        metrics::counter!("holdfast_logins_refused_total").increment(1);
        match self.pace(network(address)) {
            Pace::AtOnce => {}
            Pace::After(_waiting) => tokio::time::sleep(PAUSE).await,
            Pace::AndClose => response.response_mut().head_mut().set_connection_type(ConnectionType::Close),
        }
    }

    fn pace(&self, address: IpAddr) -> Pace<'_> {
        if self.recent.len() < MOST_ADDRESSES && self.recent.check_key(&address).is_ok() {
            return Pace::AtOnce;
        }
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING { Pace::After(waiting) } else { Pace::AndClose }
    }

    /// Forgets addresses that could send as many again as any other.
    pub fn forget(&self) {
        self.recent.retain_recent();
    }
}

/// Whoever has an address of version 6 has the 2^64 of its network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(refusals: &Refusals, address: &str, count: usize) -> usize {
        let address = network(address.parse().unwrap());
        (0..count).filter(|_| matches!(refusals.pace(address), Pace::AtOnce)).count()
    }

    #[test]
    fn an_address_is_refused_ten_times_at_once_and_others_as_often() {
        let refusals = Refusals::default();
        // A busy machine may take a second for it.
        assert!((10..40).contains(&many(&refusals, "10.0.0.1", 1_000)));
        assert_eq!(many(&refusals, "10.0.0.2", 10), 10);
        assert!((10..40).contains(&many(&refusals, "2001:db8::1", 1_000)));
        assert!(many(&refusals, "2001:db8::2", 10) < 10, "one network is one caller");
        assert!(many(&refusals, "::ffff:10.0.0.1", 10) < 10);
    }

    #[test]
    fn who_waits_is_bounded_and_leaves_his_place_to_the_next() {
        let refusals = Refusals::default();
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let paces: Vec<Pace<'_>> = (0..MOST_WAITING + 100).map(|_| refusals.pace(address)).collect();
        let waiting = paces.iter().filter(|pace| matches!(pace, Pace::After(_))).count();
        assert!(waiting <= MOST_WAITING && paces.iter().any(|pace| matches!(pace, Pace::AndClose)));
        drop(paces);
        assert_eq!(refusals.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_remembered_of_addresses_is_bounded() {
        let refusals = Refusals::default();
        for number in 0..u32::try_from(MOST_ADDRESSES).unwrap() + 500 {
            refusals.pace(IpAddr::V4(number.into()));
        }
        assert!(refusals.recent.len() <= MOST_ADDRESSES);
    }
}

//! How many requests a caller may send in how long: each API key and each address by itself, for each group of routes.
//!
//! The algorithm is GCRA: a rate of 100 an hour lets 100 pass at once, and then one every 36 s. Invariants: a group without a limit costs
//! a look into a table; what is refused is not counted, but for the request that it came in; what is remembered of callers is bounded ([`states`]).

mod states;

use crate::keys::Role;
use crate::settings::{Limits, Rate, RateLimit};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};
use serde::Serialize;
use states::States;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;
use utoipa::ToSchema;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is counted together where the number of requests is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Whatever places or changes an order or a reservation.
    Orders,
    /// Whatever changes stock.
    Stock,
    /// Reads of the API.
    Reads,
    /// Whatever operators ask for.
    Operators,
    /// What needs no key.
    Open,
    /// Probes: who watches a server is never refused.
    Unlimited,
}

impl Group {
    pub const LIMITED: [Self; 5] = [Self::Orders, Self::Stock, Self::Reads, Self::Operators, Self::Open];

    /// Its place in [`Self::LIMITED`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Stock => "stock",
            Self::Reads => "reads",
            Self::Operators => "operators",
            Self::Open => "open",
            Self::Unlimited => "unlimited",
        }
    }
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Those of one API key.
    Key(Role, u128),
    /// Those of one address, where no key is asked for.
    Address(u128),
}

impl Source {
    fn row(self) -> (usize, u128) {
        match self {
            Self::Key(Role::Storefront, key) => (0, key),
            Self::Key(Role::Viewer, key) => (1, key),
            Self::Key(Role::Admin, key) => (2, key),
            Self::Address(address) => (3, address),
        }
    }
}

/// The limits that are set.
pub struct Rates<C: Clock = DefaultClock> {
    of: [[Option<Limit<C>>; Group::LIMITED.len()]; 4],
}

/// One rate, and where its callers stand.
struct Limit<C: Clock> {
    rate: Rate,
    limiter: RateLimiter<u128, States, C, StateInformationMiddleware>,
}

/// Where a caller stands after a request.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    group: Group,
    rate: Rate,
    /// Requests that may follow at once.
    remaining: u32,
    /// Seconds until the next request may come. `None` for one that is taken.
    wait: Option<u32>,
}

/// What becomes of what a request brings beside itself.
#[derive(Clone, Copy, Debug)]
pub enum More {
    /// It is taken, or may be when the caller has waited.
    Now(Standing),
    /// With its request it is more than is ever taken at once.
    Never { most: NonZeroU32 },
}

/// A rate as `/v1/limits` shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimits)]
pub struct ShownRate {
    requests: u32,
    seconds: u32,
}

impl Rates {
    pub fn of(limits: &Limits) -> Self {
        Self::with_clock(limits, &DefaultClock::default())
    }
}

impl<C: Clock> Rates<C> {
    fn with_clock(limits: &Limits, clock: &C) -> Self
    where
        C: Clone,
    {
        let Limits { storefront, viewer, admin, address } = limits;
        let none = RateLimit(None);
        // In the order of `Group::LIMITED`.
        let set = [
            [storefront.orders, storefront.stock, storefront.reads, none, none],
            [none, none, viewer.reads, viewer.operators, none],
            [admin.orders, admin.stock, admin.reads, admin.operators, none],
            [address.orders, address.stock, address.reads, address.operators, address.open],
        ];
        Self { of: set.map(|row| row.map(|RateLimit(rate)| rate.map(|rate| Limit::new(rate, clock.clone())))) }
    }

    /// Counts a request. `None` if its group has no limit for this caller.
    #[inline]
    pub fn count(&self, source: Source, group: Group) -> Option<Standing> {
        let (row, caller) = source.row();
        let limit = self.of[row].get(group.index())?.as_ref()?;
        Some(limit.count(caller, group))
    }

    /// Counts what a request has brought beside itself: all of it or none. `None` if its group has no limit for this caller.
    pub fn count_more(&self, source: Source, group: Group, more: NonZeroU32) -> Option<More> {
        let (row, caller) = source.row();
        let limit = self.of[row].get(group.index())?.as_ref()?;
        Some(limit.count_more(caller, group, more))
    }

    /// Forgets callers who have sent nothing for so long that it makes no difference.
    pub fn forget(&self) {
        self.of.iter().flatten().flatten().for_each(|limit| limit.limiter.retain_recent());
    }

    /// The limits of such a caller, by the names of their groups.
    pub fn shown(&self, source: Source) -> BTreeMap<&'static str, ShownRate> {
        let (row, _) = source.row();
        let limits = Group::LIMITED.iter().zip(&self.of[row]);
        let shown = |rate: Rate| ShownRate { requests: rate.requests.get(), seconds: rate.seconds };
        limits.filter_map(|(group, limit)| Some((group.name(), shown(limit.as_ref()?.rate)))).collect()
    }
}

impl<C: Clock> Limit<C> {
    fn new(rate: Rate, clock: C) -> Self {
        // A rate has at most ten million requests in at least a second: some nanoseconds each.
        let quota = Quota::with_period(each(rate)).unwrap_or(Quota::per_second(rate.requests)).allow_burst(rate.requests);
        Self { rate, limiter: RateLimiter::new(quota, States::default(), clock) }
    }

    fn count(&self, caller: u128, group: Group) -> Standing {
        match self.limiter.check_key(&caller) {
            Ok(state) => Standing { group, rate: self.rate, remaining: state.remaining_burst_capacity(), wait: None },
            Err(refused) => self.wait(group, refused.wait_time_from(self.limiter.clock().now())),
        }
    }

    fn count_more(&self, caller: u128, group: Group, more: NonZeroU32) -> More {
        let requests = self.rate.requests;
        if more >= requests {
            return More::Never { most: requests };
        }
        match self.limiter.check_key_n(&caller, more) {
            Err(_) => More::Never { most: requests },
            Ok(Ok(state)) => {
                More::Now(Standing { group, rate: self.rate, remaining: state.remaining_burst_capacity(), wait: None })
            }
            Ok(Err(refused)) => {
                // The request that brings it again counts too.
                let wait = refused.wait_time_from(self.limiter.clock().now()) + each(self.rate);
                More::Now(self.wait(group, wait))
            }
        }
    }

    fn wait(&self, group: Group, wait: Duration) -> Standing {
        Standing { group, rate: self.rate, remaining: 0, wait: Some(whole_seconds(wait).max(1)) }
    }
}

/// The time in which one request comes back.
fn each(rate: Rate) -> Duration {
    Duration::from_secs(rate.seconds.into()) / rate.requests.get()
}

/// Rounded up.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

impl Standing {
    /// Seconds until the next request may come. `None` for one that is taken.
    pub fn wait(self) -> Option<u32> {
        self.wait
    }

    /// The limit in words.
    pub fn limit(self) -> String {
        let (Rate { requests, seconds }, group) = (self.rate, self.group.name());
        format!("{requests} requests of the group {group} in {seconds} seconds are the most that one caller may send")
    }

    /// Says it in the headers of draft-ietf-httpapi-ratelimit-headers.
    pub fn stamp(self, headers: &mut HeaderMap) {
        let (Rate { requests, seconds }, group) = (self.rate, self.group.name());
        let used = u64::from(requests.get().saturating_sub(self.remaining));
        let whole_again = (used * u64::from(seconds)).div_ceil(requests.get().into());
        set(headers, RATELIMIT_POLICY, &format!("\"{group}\";q={requests};w={seconds}"));
        set(headers, RATELIMIT, &format!("\"{group}\";r={};t={whole_again}", self.remaining));
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// That of a caller who sends one order too many.
pub(crate) fn example() -> Standing {
    let rate = Rate { requests: std::num::NonZeroU32::MIN.saturating_add(99), seconds: 3_600 };
    Standing { group: Group::Orders, rate, remaining: 0, wait: Some(36) }
}

#[cfg(test)]
mod tests;

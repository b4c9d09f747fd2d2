//! Rates with a clock that is moved by hand.

use super::*;
use governor::clock::FakeRelativeClock;
use states::MOST;

fn rate(text: &str) -> RateLimit {
    text.to_owned().try_into().unwrap()
}

/// Storefronts may place 100 orders an hour, addresses may read ten a second.
fn rates() -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
    let (mut limits, clock) = (Limits::default(), FakeRelativeClock::default());
    limits.storefront.orders = rate("100/1h");
    limits.address.reads = rate("10/1s");
    (Rates::with_clock(&limits, &clock), clock)
}

const SHOP: Source = Source::Key(Role::Storefront, 1);
const OTHER: Source = Source::Key(Role::Storefront, 2);

fn taken(rates: &Rates<FakeRelativeClock>, source: Source, requests: usize) -> usize {
    (0..requests).filter(|_| rates.count(source, Group::Orders).is_none_or(|standing| standing.wait().is_none())).count()
}

fn headers(standing: Standing) -> (String, String) {
    let mut headers = HeaderMap::new();
    standing.stamp(&mut headers);
    let text = |name: HeaderName| headers.get(name).unwrap().to_str().unwrap().to_owned();
    (text(RATELIMIT_POLICY), text(RATELIMIT))
}

#[test]
fn with_100_an_hour_the_101st_is_refused_and_that_of_another_key_is_taken() {
    let (rates, _) = rates();
    assert_eq!(taken(&rates, SHOP, 101), 100);
    let refused = rates.count(SHOP, Group::Orders).unwrap();
    assert_eq!(refused.wait(), Some(36));
    assert_eq!(headers(refused), ("\"orders\";q=100;w=3600".to_owned(), "\"orders\";r=0;t=3600".to_owned()));
    assert_eq!(taken(&rates, OTHER, 1), 1);
}

/// A request that brings others: whether they are taken, and how long its caller waits.
fn more(rates: &Rates<FakeRelativeClock>, count: u32) -> Option<u32> {
    assert_eq!(taken(rates, SHOP, 1), 1);
    match rates.count_more(SHOP, Group::Orders, NonZeroU32::new(count).unwrap()).unwrap() {
        More::Now(standing) => standing.wait(),
        More::Never { most } => panic!("{count} are more than {most}"),
    }
}

#[test]
fn what_a_request_brings_counts_as_a_whole_and_is_taken_once_the_caller_has_waited() {
    let (rates, clock) = rates();
    assert_eq!(more(&rates, 59), None);
    let wait = more(&rates, 49).unwrap();
    assert_eq!(wait, 11 * 36, "of 50 there were 40, and one of those is used by this request");
    clock.advance(Duration::from_secs(wait.into()));
    assert_eq!(more(&rates, 49), None);
    assert_eq!(taken(&rates, SHOP, 1), 0);
    let whole = rates.count_more(SHOP, Group::Orders, NonZeroU32::new(100).unwrap());
    assert!(matches!(whole, Some(More::Never { most }) if most.get() == 100));
    assert!(rates.count_more(SHOP, Group::Reads, NonZeroU32::MIN).is_none());
}

#[test]
fn what_was_used_comes_back_one_by_one() {
    let (rates, clock) = rates();
    assert_eq!(taken(&rates, SHOP, 100), 100);
    clock.advance(Duration::from_secs(35));
    assert_eq!(taken(&rates, SHOP, 1), 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(taken(&rates, SHOP, 5), 1);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(taken(&rates, SHOP, 200), 100, "never more than the whole");
}

#[test]
fn the_headers_say_what_is_left_and_when_all_of_it_is_there_again() {
    let (rates, clock) = rates();
    let now = |rates: &Rates<_>| headers(rates.count(SHOP, Group::Orders).unwrap()).1;
    assert_eq!(now(&rates), "\"orders\";r=99;t=36");
    assert_eq!(taken(&rates, SHOP, 48), 48);
    assert_eq!(now(&rates), "\"orders\";r=50;t=1800");
    clock.advance(Duration::from_secs(900));
    assert_eq!(now(&rates), "\"orders\";r=74;t=936");
}

#[test]
fn a_group_without_a_limit_and_a_caller_of_another_kind_are_not_counted() {
    let (rates, _) = rates();
    for (source, group) in [
        (SHOP, Group::Reads),
        (SHOP, Group::Unlimited),
        (Source::Key(Role::Admin, 1), Group::Orders),
        (Source::Address(1), Group::Orders),
    ] {
        assert!(rates.count(source, group).is_none(), "{source:?} {group:?}");
    }
    assert!(rates.count(Source::Key(Role::Viewer, 1), Group::Operators).is_some(), "viewers have one by default");
    assert_eq!(rates.shown(SHOP).keys().copied().collect::<Vec<_>>(), ["orders"]);
}

#[test]
fn who_has_sent_nothing_for_long_is_forgotten_and_nobody_else() {
    let (rates, clock) = rates();
    let limit = || rates.of[0][Group::Orders.index()].as_ref().unwrap().limiter.len();
    assert_eq!((taken(&rates, SHOP, 1), taken(&rates, OTHER, 100)), (1, 100));
    rates.forget();
    assert_eq!(limit(), 2);
    clock.advance(Duration::from_secs(100));
    rates.forget();
    assert_eq!((limit(), taken(&rates, OTHER, 10)), (1, 2), "it has its hundred again only after an hour");
}

/// Whoever has many addresses would take memory without end.
#[test]
fn only_so_many_callers_are_remembered_and_the_others_share_one_rate() {
    let (rates, _) = rates();
    let count = |caller: usize| rates.count(Source::Address(caller as u128), Group::Reads).unwrap().wait().is_none();
    assert!((0..MOST).all(count));
    assert_eq!((MOST..MOST + 100).filter(|caller| count(*caller)).count(), 10, "of those there is no room for");
    assert!(count(0), "who is known goes on as before");
    assert_eq!(rates.of[3][Group::Reads.index()].as_ref().unwrap().limiter.len(), MOST);
}

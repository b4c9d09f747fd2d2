//! What became of requests: how many answers each route gave, with which status and how fast, and how many orders were accepted.
//!
//! Invariants: one thread alone raises a count, which only rises: an answer costs a few additions, without a lock and without a cache line
//! that processors fight for; whoever looks adds the threads up.

mod text;

use super::buckets::{self, BUCKETS, bucket, nanos};
use std::array::from_fn;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The answers of this process.
pub static ANSWERS: Tally = Tally::new();

/// Counts since the start of the process, of threads that have ended too.
#[derive(Debug)]
pub struct Tally {
    routes: Mutex<Vec<Arc<RouteCounts>>>,
    orders: Mutex<Vec<Arc<OrderCounts>>>,
}

/// A count that one thread raises and others read.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What must not go to another thread.
type OfOneThread = PhantomData<Rc<()>>;

/// One method of a route.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub method: &'static str,
    pub route: &'static str,
    /// Whether it is of the API.
    pub api: bool,
    /// Whether a balancer or a collector asks: a server that starts answers them 503, and nobody is refused anything.
    pub probe: bool,
}

#[derive(Debug)]
struct RouteCounts {
    row: Row,
    latencies: [Count; BUCKETS],
    nanos: Count,
    /// A route has few.
    statuses: Mutex<Vec<(u16, Arc<Count>)>>,
}

/// Counts the answers of one method of a route, in one thread.
#[derive(Debug)]
pub struct RouteCounter {
    counts: Arc<RouteCounts>,
    /// As in `counts`, without the lock.
    statuses: RefCell<Vec<(u16, Arc<Count>)>>,
    _of_one_thread: OfOneThread,
}

impl RouteCounter {
    pub fn answered(&self, status: u16, took: Duration) {
        let took = nanos(took);
        self.counts.latencies[bucket(took)].add(1);
        self.counts.nanos.add(took);
        let mut statuses = self.statuses.borrow_mut();
        match statuses.iter().find(|(known, _)| *known == status) {
            Some((_, count)) => count.add(1),
            None => statuses.push((status, self.first(status))),
        }
    }

    fn first(&self, status: u16) -> Arc<Count> {
        let count = Arc::new(Count(AtomicU64::new(1)));
        locked(&self.counts.statuses).push((status, count.clone()));
        count
    }
}

#[derive(Debug, Default)]
struct OrderCounts {
    accepted: Count,
    placed: Count,
    refused: Count,
}

/// Counts the answers to new orders, in one thread.
#[derive(Debug)]
pub struct OrderCounter(Arc<OrderCounts>, OfOneThread);

impl OrderCounter {
    /// `first` if it is no retry of an order that was accepted before.
    pub fn placed(&self, first: bool) {
        self.0.placed.add(1);
        self.0.accepted.add(first.into());
    }

    pub fn refused(&self) {
        self.0.refused.add(1);
    }
}

/// Answers to new orders since the start of the process, by whether they were placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderAnswers {
    pub placed: u64,
    pub refused: u64,
}

/// A [`Tally`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Of API routes.
    pub latencies: [u64; BUCKETS],
    /// All of them, whatever the route; probes are not counted at all.
    pub all: u64,
    /// With a status of 500 or more.
    pub errors: u64,
    /// Those of them with 503.
    pub refusals: u64,
    /// Orders that were accepted, retries left out.
    pub orders: u64,
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self { routes: Mutex::new(Vec::new()), orders: Mutex::new(Vec::new()) }
    }

    /// For the thread that asks.
    pub fn route(&self, row: Row) -> RouteCounter {
        let (nanos, statuses) = (Count::default(), Mutex::default());
        let counts = Arc::new(RouteCounts { row, latencies: from_fn(|_| Count::default()), nanos, statuses });
        locked(&self.routes).push(counts.clone());
        RouteCounter { counts, statuses: RefCell::default(), _of_one_thread: PhantomData }
    }

    /// For the thread that asks.
    pub fn orders(&self) -> OrderCounter {
        let counts = Arc::<OrderCounts>::default();
        locked(&self.orders).push(counts.clone());
        OrderCounter(counts, PhantomData)
    }

    pub fn orders_now(&self) -> OrderAnswers {
        locked(&self.orders).iter().fold(OrderAnswers::default(), |sum, orders| OrderAnswers {
            placed: sum.placed + orders.placed.get(),
            refused: sum.refused + orders.refused.get(),
        })
    }

    pub fn now(&self) -> Answers {
        let orders = locked(&self.orders).iter().map(|orders| orders.accepted.get()).sum();
        let routes = locked(&self.routes);
        let counted = routes.iter().filter(|route| !route.row.probe);
        counted.fold(Answers { orders, ..Answers::NONE }, |sum, route| sum.and(route))
    }
}

impl Answers {
    pub const NONE: Self = Self { latencies: [0; BUCKETS], all: 0, errors: 0, refusals: 0, orders: 0 };

    fn and(mut self, route: &RouteCounts) -> Self {
        if route.row.api {
            add_latencies(&mut self.latencies, route);
        }
        for (status, count) in locked(&route.statuses).iter() {
            let count = count.get();
            self.all += count;
            self.errors += if *status >= 500 { count } else { 0 };
            self.refusals += if *status == 503 { count } else { 0 };
        }
        self
    }

    /// What came since.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            latencies: from_fn(|at| self.latencies[at].saturating_sub(before.latencies[at])),
            all: self.all.saturating_sub(before.all),
            errors: self.errors.saturating_sub(before.errors),
            refusals: self.refusals.saturating_sub(before.refusals),
            orders: self.orders.saturating_sub(before.orders),
        }
    }

    /// The latency in seconds that so many percent of the answers of API routes did not exceed, 0 if there were none.
    pub fn latency(&self, percent: u64) -> f64 {
        buckets::percentile(&self.latencies, percent)
    }
}

fn add_latencies(sums: &mut [u64; BUCKETS], route: &RouteCounts) {
    sums.iter_mut().zip(&route.latencies).for_each(|(sum, count)| *sum += count.get());
}

/// Nothing panics while it is held.
fn locked<T>(counts: &Mutex<T>) -> MutexGuard<'_, T> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: Row = Row { method: "GET", route: "/v1/orders", api: true, probe: false };

    #[test]
    fn answers_are_counted_by_how_they_ended_and_what_came_since_is_the_difference() {
        let tally = Tally::new();
        let (api, page) = (tally.route(API), tally.route(Row { api: false, route: "/", ..API }));
        api.answered(201, Duration::ZERO);
        let before = tally.now();
        for (route, status) in [(&api, 201), (&page, 200), (&api, 503), (&page, 500), (&api, 409)] {
            route.answered(status, Duration::ZERO);
        }
        let orders = tally.orders();
        orders.placed(true);
        orders.placed(false);
        orders.refused();
        let Answers { latencies, all, errors, refusals, orders } = tally.now().since(&before);
        assert_eq!((latencies[0], all, errors, refusals, orders), (3, 5, 2, 1, 1));
    }

    #[test]
    fn what_threads_counted_is_added_up_when_they_have_ended() {
        let tally = Tally::new();
        let count = || {
            let route = tally.route(API);
            (0..1000).for_each(|_| route.answered(200, Duration::from_millis(3)));
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(count))));
        assert_eq!(tally.now().all, 4000);
    }

    #[test]
    fn an_answer_to_a_probe_is_none_to_a_customer() {
        let refusals = |probe| {
            let tally = Tally::new();
            tally.route(Row { probe, ..API }).answered(503, Duration::ZERO);
            let answers = tally.now();
            (answers.all, answers.errors, answers.refusals)
        };
        assert_eq!((refusals(true), refusals(false)), ((0, 0, 0), (1, 1, 1)));
    }
}

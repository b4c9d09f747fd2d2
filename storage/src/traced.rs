//! Requests that are traced, and when what each is about came to each part of the engine.
//!
//! Messages and records carry nothing for it: whoever handles an order or a SKU looks into this table, and only while it is not empty.
//! Invariants: it has at most [`MOST`] requests, of one order or SKU one at a time; an empty one costs one load of a number; a moment is the
//! first of its kind.

use holdfast_engine::command::Command;
use holdfast_engine::ids::{OrderId, Sku};
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Requests traced at once; more are not.
pub const MOST: usize = 1024;
/// A request is forgotten so long after its answer, wherever it is. The relay runs when nobody else wants to, which may be a while.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(120);

/// The requests of this process.
pub static TRACED: Traced = Traced::new();

/// A part of a trace, as the header `traceparent` names it (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub trace: u128,
    pub id: u64,
}

impl Span {
    /// Another part of the same trace. Its id follows from this one: nobody has to be asked for it.
    pub fn child(self, number: u8) -> Self {
        let id = self.id.rotate_left(u32::from(number) * 8 + 1) ^ 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(number));
        Self { id: id.max(1), ..self }
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.id)
    }
}

/// Number of the part that is the publishing to Kafka, among the children of a request.
pub const PUBLISH: u8 = 4;

/// What a traced request is about: whoever handles that looks it up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Order(OrderId),
    Sku(Sku),
    /// Many things, or nothing that came to the engine: the request is one part. The number is that of its span.
    Alone(u64),
}

impl Subject {
    /// What a command changes. `None` for one that only reads, and for what is neither order nor SKU.
    pub fn of(command: &Command) -> Option<Self> {
        match command {
            Command::SetStock { sku, .. } | Command::AdjustStock { sku, .. } => Some(Self::Sku(sku.clone())),
            Command::SetThreshold { sku, .. } | Command::CloseLocation { sku, .. } => Some(Self::Sku(sku.clone())),
            Command::Under { command, .. } => Self::of(command),
            command if command.reads() => None,
            command => command.order().map(Self::Order),
        }
    }
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its shard reads it.
    Read,
    /// Its facts are handed to the journal.
    Submitted,
    /// They are durable.
    Durable,
    /// The first of them is handed to the Kafka client.
    Handed,
    /// Kafka acknowledged it.
    Published,
}

const MOMENTS: usize = 5;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub method: &'static str,
    /// As the description of the API writes it.
    pub route: &'static str,
    /// The request.
    pub span: Span,
    /// The part of the caller's trace that sent it.
    pub parent: Option<u64>,
    pub began: SystemTime,
    /// When, and with which status.
    pub answered: Option<(SystemTime, u16)>,
    moments: [Option<SystemTime>; MOMENTS],
}

impl Trace {
    pub fn new((method, route): (&'static str, &'static str), span: Span, parent: Option<u64>, began: SystemTime) -> Self {
        Self { method, route, span, parent, began, answered: None, moments: [None; MOMENTS] }
    }

    pub fn at(&self, moment: Moment) -> Option<SystemTime> {
        self.moments[moment as usize]
    }

    /// Whether nothing more is waited for. Events of stock come from orders too: which are of this request is not known.
    fn is_over(&self, subject: &Subject, publishes: bool, now: SystemTime) -> bool {
        let Some((answered, status)) = self.answered else { return false };
        let published = self.at(Moment::Submitted).is_none() || self.at(Moment::Published).is_some();
        let waits = publishes && status < 300 && matches!(subject, Subject::Order(_)) && !published;
        !waits || now.duration_since(answered).is_ok_and(|passed| passed > PUBLISH_TIMEOUT)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Traced {
    count: AtomicUsize,
    requests: Mutex<Option<HashMap<Subject, Trace>>>,
}

impl Traced {
    pub const fn new() -> Self {
        Self { count: AtomicUsize::new(0), requests: Mutex::new(None) }
    }

    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Subject, Trace>) -> T) -> T {
        let mut requests: MutexGuard<'_, _> = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = requests.get_or_insert_default();
        let done = work(requests);
        self.count.store(requests.len(), Ordering::Relaxed);
        done
    }

    /// Takes a request in, if there is room and none is about the same.
    pub fn begin(&self, subject: Subject, trace: Trace) -> bool {
        self.with(|requests| {
            let takes = requests.len() < MOST && !requests.contains_key(&subject);
            if takes {
                requests.insert(subject, trace);
            }
            takes
        })
    }

    /// Now is this moment of what a request is about. False if it is not traced, or had that moment before.
    pub fn mark(&self, subject: &Subject, moment: Moment) -> bool {
        !self.is_empty()
            && self.with(|requests| {
                let moment = requests.get_mut(subject).map(|trace| &mut trace.moments[moment as usize]);
                moment.filter(|moment| moment.is_none()).map(|moment| *moment = Some(SystemTime::now())).is_some()
            })
    }

    /// A request was answered with this status.
    pub fn answered(&self, subject: &Subject, status: u16) {
        self.with(|requests| {
            if let Some(trace) = requests.get_mut(subject) {
                trace.answered.get_or_insert((SystemTime::now(), status));
            }
        });
    }

    /// Forgets a request that has no answer and gets none any more.
    pub fn give_up(&self, subject: &Subject) {
        self.with(|requests| {
            if requests.get(subject).is_some_and(|trace| trace.answered.is_none()) {
                requests.remove(subject);
            }
        });
    }

    /// The part of the trace of a request about an order that its publishing is.
    pub fn publishing(&self, order: OrderId) -> Option<Span> {
        if self.is_empty() {
            return None;
        }
        self.with(|requests| Some(requests.get(&Subject::Order(order))?.span.child(PUBLISH)))
    }

    /// Takes out those of which nothing more is waited for. With `publishes` they are waited for until Kafka has them.
    pub fn take_over(&self, publishes: bool, now: SystemTime) -> Vec<Trace> {
        if self.is_empty() {
            return Vec::new();
        }
        self.with(|requests| {
            requests.extract_if(|subject, trace| trace.is_over(subject, publishes, now)).map(|(_, trace)| trace).collect()
        })
    }
}

impl Default for Traced {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::ids::{KeyHash, Partitions};

    fn order(number: u16) -> Subject {
        let mut key = [0; 16];
        // The first two say the partition.
        key[8..10].copy_from_slice(&number.to_be_bytes());
        Subject::Order(OrderId::derive(KeyHash(key), Partitions::new(1).unwrap()))
    }

    fn trace() -> Trace {
        Trace::new(("POST", "/v1/orders"), Span { trace: 7, id: 9 }, None, SystemTime::now())
    }

    #[test]
    fn an_order_is_over_with_its_answer_or_where_it_is_published_with_kafka_s() {
        // Whether events are published, the status; over with the answer, over once published.
        for (publishes, status, answered, published) in
            [(false, 201, true, true), (true, 201, false, true), (true, 409, true, true), (true, 503, true, true)]
        {
            let traced = Traced::new();
            assert!(traced.begin(order(1), trace()) && traced.mark(&order(1), Moment::Read));
            traced.mark(&order(1), Moment::Submitted);
            assert!(traced.take_over(publishes, SystemTime::now()).is_empty(), "it is not answered");
            traced.answered(&order(1), status);
            assert_eq!(traced.take_over(publishes, SystemTime::now()).len(), usize::from(answered), "{publishes} {status}");
            traced.mark(&order(1), Moment::Published);
            let late = traced.take_over(publishes, SystemTime::now()).len();
            assert_eq!(late, usize::from(published && !answered), "{publishes} {status}");
            assert!(traced.is_empty());
        }
    }

    #[test]
    fn an_order_that_kafka_never_gets_is_forgotten_after_a_while() {
        let traced = Traced::new();
        traced.begin(order(1), trace());
        traced.mark(&order(1), Moment::Submitted);
        traced.answered(&order(1), 201);
        let later = SystemTime::now() + PUBLISH_TIMEOUT + Duration::from_secs(1);
        assert_eq!(traced.take_over(true, later).len(), 1);
    }

    #[test]
    fn kafka_is_waited_for_only_by_what_wrote_a_fact_of_an_order() {
        let about = |subject: &Subject, wrote: bool| {
            let traced = Traced::new();
            traced.begin(subject.clone(), trace());
            if wrote {
                traced.mark(subject, Moment::Submitted);
            }
            traced.answered(subject, 200);
            traced.take_over(true, SystemTime::now()).is_empty()
        };
        let sku = Subject::Sku(Sku::new("MUG").unwrap());
        assert!(about(&order(1), true));
        assert!(!about(&order(1), false), "twice is once: there is nothing to publish");
        assert!(!about(&sku, true) && !about(&Subject::Alone(7), false));
    }

    /// It kept its place for ever, and no other request about the order was followed.
    #[test]
    fn a_request_whose_caller_has_gone_leaves_its_place_to_others() {
        let traced = Traced::new();
        assert!(traced.begin(order(1), trace()) && !traced.begin(order(1), trace()));
        traced.give_up(&order(1));
        assert!(traced.begin(order(1), trace()));
        traced.answered(&order(1), 201);
        traced.give_up(&order(1));
        assert_eq!(traced.take_over(false, SystemTime::now()).len(), 1, "an answer is not given up");
    }

    #[test]
    fn no_more_orders_are_traced_than_there_is_room_for() {
        let traced = Traced::new();
        let taken = (0..2000).filter(|number| traced.begin(order(*number), trace())).count();
        assert_eq!(taken, MOST);
        assert!(!traced.mark(&order(1999), Moment::Read));
    }

    #[test]
    fn a_moment_is_the_first_of_its_kind() {
        let traced = Traced::new();
        traced.begin(order(1), trace());
        assert!(traced.mark(&order(1), Moment::Durable));
        assert!(!traced.mark(&order(1), Moment::Durable));
    }

    #[test]
    fn parts_of_a_trace_have_ids_of_their_own_and_are_written_as_w3c_says() {
        let span = Span { trace: 0xab, id: 0x1234_5678_9abc_def0 };
        let mut ids: Vec<u64> = (1..=PUBLISH).map(|number| span.child(number).id).chain([span.id]).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5);
        assert_eq!(span.to_string(), "00-000000000000000000000000000000ab-123456789abcdef0-01");
    }
}

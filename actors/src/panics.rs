//! What is remembered of the panics of a partition from one life to the next.
//!
//! Invariants: an input that has panicked its partition [`TOLERATED`] times is not given to it again; a partition is rebuilt at most
//! [`MOST_REBUILDS`] times in [`WINDOW`] of its lives, however long the folds between them take; neither memory grows with the number of panics.

use foldhash::fast::FixedState;
use holdfast_engine::command::{Command, Terms};
use holdfast_engine::ids::{Fingerprint, HoldKey, OrderId, Sku};
use holdfast_engine::partition::{Input, ProviderResult};
use holdfast_engine::protocol::{Body, ToOrder, ToStock};
use std::any::Any;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};
use std::mem::discriminant;
use std::time::{Duration, Instant};

/// So many panics of one input are met by a rebuild: the first may have been of what was around it.
const TOLERATED: u32 = 2;
/// Inputs remembered: the oldest makes room, and has to panic again to be refused again.
const MOST_SUSPECTS: usize = 64;
/// What panics more often than this is in the journal or in the program: another fold does not mend it.
const MOST_REBUILDS: usize = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// Names an input of a partition by what it asks, whoever sends it and however often: a hash of its names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect(u64);

/// What a [`Suspect`] is made of. The step has the input, so this is taken before it, of every request: what an order brings is copied
/// without a hash or an allocation, and hashed if the step panics.
#[derive(Debug)]
pub(crate) enum Name {
    Placed(OrderId, Fingerprint),
    /// What it is, and the number of the order's decision that it follows from, where it has one.
    Message(&'static str, Sku, HoldKey, u32),
    Hashed(Suspect),
}

/// Bytes of a name of a SKU that is copied without an allocation.
const INLINE: usize = size_of::<Sku>();

impl Name {
    /// None: nobody gave it, and it never comes again as the same.
    #[inline]
    pub(crate) fn of(input: &Input) -> Option<Self> {
        match input {
            Input::Command { command: Command::Place { order, placed }, .. } => Some(Self::Placed(*order, placed.fingerprint)),
            Input::Command { command, .. } => Some(Self::Hashed(Suspect::of_command(command))),
            Input::Message(body) => Some(Self::of_body(body)),
            Input::Provider(result) => Some(Self::Hashed(Suspect::of_result(result))),
            Input::Tick | Input::Durable(_) | Input::Archived { .. } | Input::Policy(_) => None,
        }
    }

    fn of_body(body: &Body) -> Self {
        let (what, sku, hold, version) = match body {
            Body::ToStock(ToStock::Reserve { sku, request }) => ("reserve", sku, request.hold, 0),
            Body::ToStock(ToStock::Move { sku, hold, order_version, .. }) => ("move", sku, *hold, *order_version),
            Body::ToOrder(ToOrder::Held { sku, hold, order_version, .. }) => ("held", sku, *hold, *order_version),
            Body::ToOrder(ToOrder::Refused { sku, hold, order_version, .. }) => ("refused", sku, *hold, *order_version),
            Body::ToOrder(ToOrder::Moved { sku, hold, order_version }) => ("moved", sku, *hold, *order_version),
            Body::ToOrder(ToOrder::HoldProbe { sku, hold }) => ("ask", sku, *hold, 0),
        };
        Self::of_message(what, sku, hold, version)
    }

    pub(crate) fn of_message(what: &'static str, sku: &Sku, hold: HoldKey, version: u32) -> Self {
        if sku.as_str().len() > INLINE {
            return Self::Hashed(Suspect::of_message(what, sku, hold, version));
        }
        Self::Message(what, sku.clone(), hold, version)
    }

    pub(crate) fn suspect(self) -> Suspect {
        match self {
            Self::Placed(order, fingerprint) => Suspect::of_placed(order, fingerprint),
            Self::Message(what, sku, hold, version) => Suspect::of_message(what, &sku, hold, version),
            Self::Hashed(suspect) => suspect,
        }
    }
}

impl Suspect {
    /// None: nobody gave it, and it never comes again as the same.
    pub(crate) fn of(input: &Input) -> Option<Self> {
        Name::of(input).map(Name::suspect)
    }

    fn of_placed(order: OrderId, fingerprint: Fingerprint) -> Self {
        Self::named(("place", order, fingerprint))
    }

    fn of_message(what: &str, sku: &Sku, hold: HoldKey, version: u32) -> Self {
        Self::named((what, sku, hold, version))
    }

    fn of_command(command: &Command) -> Self {
        match command {
            Command::Place { order, placed } => Self::of_placed(*order, placed.fingerprint),
            Command::GetOrder { order, kind } => Self::named(("get order", order, kind)),
            Command::Cancel { order, kind, .. } => Self::named(("cancel", order, kind)),
            Command::Confirm { order, kind, .. } => Self::named(("confirm", order, kind)),
            Command::Extend { order, ttl_ms } => Self::named(("extend", order, ttl_ms)),
            Command::PaymentResult { attempt, outcome } => Self::named(("payment result", attempt, discriminant(outcome))),
            Command::StartPayment { key, .. } => Self::named(("start payment", key.hash, key.fingerprint)),
            Command::AdjustStock { key, .. } => Self::named(("adjust", key.hash, key.fingerprint)),
            Command::GetAnswer { key, .. } => Self::named(("get answer", key.hash)),
            Command::SetStock { sku, location, on_hand, safety_stock, priority, .. } => {
                Self::named(("set stock", sku, location, on_hand, safety_stock, priority))
            }
            Command::SetThreshold { sku, threshold } => Self::named(("set threshold", sku, threshold)),
            Command::CloseLocation { sku, location, .. } => Self::named(("close location", sku, location)),
            Command::GetStock { sku } => Self::named(("get stock", sku)),
            Command::Availability { partition, skus } => Self::named(("availability", partition, skus)),
            Command::ListOrders { partition, filter, after, .. } => Self::named(("list orders", partition, filter, after)),
            Command::ListStock { partition, prefix, after, .. } => Self::named(("list stock", partition, prefix, after)),
            Command::RecordChanges { partition, changes } => {
                Self::named(("record changes", partition, changes.first().map(|change| &change.request_id)))
            }
            Command::ListChanges { partition, before, .. } => Self::named(("list changes", partition, before)),
            Command::Under { terms, command } => Self::under(terms, command),
        }
    }

    fn under(terms: &Terms, command: &Command) -> Self {
        let key = terms.key.as_ref().map(|key| (key.hash, key.fingerprint));
        Self::named((Self::of_command(command).0, key))
    }

    fn of_result(result: &ProviderResult) -> Self {
        match result {
            ProviderResult::Opened { attempt, .. } => Self::named(("opened", attempt)),
            ProviderResult::Outcome { attempt, kind, outcome } => {
                Self::named(("told", attempt, discriminant(kind), discriminant(outcome)))
            }
        }
    }

    fn named(names: impl Hash) -> Self {
        Self(FixedState::default().hash_one(names))
    }
}

/// The panics of one partition, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Panics {
    /// With the panics of each, the one that panicked last behind the others.
    suspects: VecDeque<(Suspect, u32)>,
    rebuilds: VecDeque<Instant>,
}

impl Panics {
    pub(crate) fn blame(&mut self, suspect: Suspect) {
        let known = self.suspects.iter().position(|(known, _)| *known == suspect).and_then(|index| self.suspects.remove(index));
        let panics = known.map_or(0, |(_, panics)| panics);
        if self.suspects.len() >= MOST_SUSPECTS {
            self.suspects.pop_front();
        }
        self.suspects.push_back((suspect, panics + 1));
    }

    /// What the next life is not to be given.
    pub(crate) fn refused(&self) -> Vec<Suspect> {
        self.suspects.iter().filter(|(_, panics)| *panics >= TOLERATED).map(|(suspect, _)| *suspect).collect()
    }

    /// Counts a rebuild. False if there were too many of late.
    pub(crate) fn may_rebuild(&mut self, now: Instant) -> bool {
        self.rebuilds.retain(|at| now.duration_since(*at) < WINDOW);
        let may = self.rebuilds.len() < MOST_REBUILDS;
        if may {
            self.rebuilds.push_back(now);
        }
        may
    }

    /// A fold took so long: what panics after each of a large partition would else never be too often.
    pub(crate) fn folded(&mut self, took: Duration) {
        self.rebuilds.iter_mut().for_each(|at| *at += took);
    }

    pub(crate) fn words() -> String {
        format!("it panicked more than {MOST_REBUILDS} times in {} s", WINDOW.as_secs())
    }
}

/// What a panic said.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::ids::{AttemptId, KeyHash, Location, OrderId, Partitions, Sku};
    use holdfast_engine::order::{CallKind, Outcome};
    use holdfast_engine::quantity::Quantity;

    fn suspect(name: u64) -> Suspect {
        Suspect::named(name)
    }

    #[test]
    fn an_input_is_refused_when_it_has_panicked_twice_and_no_other_for_it() {
        let mut panics = Panics::default();
        panics.blame(suspect(1));
        panics.blame(suspect(2));
        assert_eq!(panics.refused(), []);
        panics.blame(suspect(1));
        assert_eq!(panics.refused(), [suspect(1)]);
    }

    #[test]
    fn however_many_inputs_panic_a_bounded_number_is_remembered() {
        let mut panics = Panics::default();
        for name in 0..1000 {
            panics.blame(suspect(name));
            panics.blame(suspect(name));
        }
        let latest: Vec<Suspect> = (1000 - MOST_SUSPECTS as u64..1000).map(suspect).collect();
        assert_eq!(panics.refused(), latest);
    }

    #[test]
    fn a_partition_is_rebuilt_so_often_in_the_window_and_again_when_it_has_passed() {
        let (mut panics, start) = (Panics::default(), Instant::now());
        for second in 0..MOST_REBUILDS as u64 {
            assert!(panics.may_rebuild(start + Duration::from_secs(second)), "{second}");
        }
        assert!(!panics.may_rebuild(start + Duration::from_secs(59)));
        assert!(panics.may_rebuild(start + WINDOW), "the first is a minute ago");
        assert!(!panics.may_rebuild(start + WINDOW), "the second is not");
    }

    /// Folds of three seconds and more kept the window from ever being full: what panicked at once was rebuilt for ever.
    #[test]
    fn the_folds_between_panics_are_no_time_without_one() {
        let (mut panics, mut now) = (Panics::default(), Instant::now());
        for panic in 0..MOST_REBUILDS {
            assert!(panics.may_rebuild(now), "{panic}");
            now += WINDOW;
            panics.folded(WINDOW);
        }
        assert!(!panics.may_rebuild(now));
    }

    /// Behind an unclear result that panicked twice the money came in vain.
    #[test]
    fn another_outcome_of_an_attempt_is_another_suspect() {
        let order = OrderId::derive(KeyHash::derive("", "orders", "a"), Partitions::new(8).unwrap());
        let attempt = AttemptId { order, number: 1 };
        let result = |outcome| ProviderResult::Outcome { attempt, kind: CallKind::Query, outcome };
        assert_ne!(Suspect::of_result(&result(Outcome::Timeout)), Suspect::of_result(&result(Outcome::Captured)));
        let result = |outcome| Command::PaymentResult { attempt, outcome };
        assert_ne!(Suspect::of_command(&result(Outcome::Declined)), Suspect::of_command(&result(Outcome::Captured)));
    }

    #[test]
    fn a_request_sent_again_is_the_same_suspect_and_another_is_another() {
        let sku = |name: &str| Sku::new(name).unwrap();
        let order = |key: &str| OrderId::derive(KeyHash::derive("", "orders", key), Partitions::new(8).unwrap());
        let set = |name: &str, on_hand: u32| Command::SetStock {
            sku: sku(name),
            location: Location::new("main").unwrap(),
            on_hand: Quantity::new(on_hand),
            safety_stock: None,
            priority: None,
            expected: None,
        };
        let all = [
            set("A", 1),
            set("A", 2),
            set("B", 1),
            Command::GetStock { sku: sku("A") },
            Command::GetOrder { order: order("a"), kind: None },
            Command::GetOrder { order: order("b"), kind: None },
            Command::Extend { order: order("a"), ttl_ms: 1 },
        ];
        for (one, left) in all.iter().enumerate() {
            for (other, right) in all.iter().enumerate() {
                assert_eq!(Suspect::of_command(left) == Suspect::of_command(&right.clone()), one == other, "{left:?}, {right:?}");
            }
        }
    }
}

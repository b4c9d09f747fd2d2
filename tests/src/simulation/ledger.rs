//! The oracle's own books: adds up every record as it is submitted, with rules written anew from the specification.
//!
//! Invariant: it shares the types of events with the engine and no rule. What a record may not do is a [`Breach`].

mod changes;
mod levels;
mod orders;
mod stock;

use changes::ChangeBook;
pub(super) use levels::Shown;
pub(super) use orders::{OrderBook, Purse, ReserveDecision};
pub(super) use stock::{SkuBook, row};

use holdfast_engine::event::{
    ArchiveFact, Event, KeyFact, OperatorFact, OrderFact, PartitionFact, Record, StockFact, StoredResponse,
};
use holdfast_engine::ids::{Fingerprint, HoldKey, KeyHash, OrderId, Seq, Sku};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A broken rule: its name and what broke it.
#[derive(Clone, Debug)]
pub struct Breach {
    pub rule: &'static str,
    pub what: String,
}

impl Breach {
    pub fn new(rule: &'static str, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

pub(super) type Checked = Result<(), Breach>;

/// Fails with the rule unless `holds`.
pub(super) fn require(holds: bool, rule: &'static str, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Breach::new(rule, what())) }
}

/// The answer bound to a key, with the record that binds it.
#[derive(Clone, Debug)]
pub(super) struct KeyBook {
    pub fingerprint: Fingerprint,
    pub answer: Arc<StoredResponse>,
    pub seq: Seq,
}

/// Books over all partitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub skus: BTreeMap<Sku, SkuBook>,
    pub orders: BTreeMap<OrderId, OrderBook>,
    pub keys: BTreeMap<KeyHash, KeyBook>,
    changes: ChangeBook,
    seqs: Vec<Seq>,
    /// By partition: its next order must have a number above this one.
    numbers: Vec<u64>,
    /// Records arrive in an order in which each cause comes before its effects.
    causal: bool,
}

impl Ledger {
    pub(super) fn new(partitions: usize, causal: bool) -> Self {
        Self { seqs: vec![0; partitions], numbers: vec![0; partitions], causal, ..Self::default() }
    }

    /// From now on records arrive in causal order: the run goes on live after a recovery.
    pub(super) fn live(&mut self) {
        self.causal = true;
    }

    pub(super) fn add(&mut self, partition: usize, record: &Record) -> Checked {
        let last = &mut self.seqs[partition];
        require(record.seq == *last + 1, "I14 dense sequence", || {
            format!("partition {partition} has record {} after {last}", record.seq)
        })?;
        *last = record.seq;
        match &record.event {
            Event::Stock { sku, fact } => self.add_stock(sku, record.seq, fact),
            Event::Order { order, fact, .. } => {
                self.numbered(partition, *order, fact)?;
                let book = self.orders.entry(*order).or_default();
                book.add(*order, record.seq, record.at, fact)?;
                if self.causal { self.counts_on_live_holds(*order, fact) } else { Ok(()) }
            }
            Event::Key(KeyFact::Answered { key, fingerprint, answer }) => {
                let book = KeyBook { fingerprint: *fingerprint, answer: answer.clone(), seq: record.seq };
                let again = self.keys.insert(*key, book).is_some();
                require(!again, "I13 one effect per key", || format!("key {key:?} was answered by two records"))
            }
            Event::Archive(ArchiveFact::Restored { order, history }) => {
                let kept = self.orders.get(order).is_some_and(|book| history.records().eq(book.history.iter().cloned()));
                require(kept, "I14 archived history", || format!("order {order} came back with another history"))
            }
            Event::Archive(ArchiveFact::Orders(_) | ArchiveFact::Keys(_)) => Ok(()),
            Event::Operator(OperatorFact::Changed(change)) => self.changed(partition, record, change),
            Event::Partition(PartitionFact::Restored { placed, .. }) => {
                self.numbers[partition] = placed * self.seqs.len() as u64;
                Ok(())
            }
        }
    }

    /// The numbers of a partition rise, every one is of that partition, and after a restore they are above what it left out.
    fn numbered(&mut self, partition: usize, order: OrderId, fact: &OrderFact) -> Checked {
        let OrderFact::Placed(placed) = fact else { return Ok(()) };
        let (number, last) = (placed.number, self.numbers[partition]);
        let own = number.checked_sub(1).is_some_and(|before| before % self.seqs.len() as u64 == partition as u64);
        self.numbers[partition] = number;
        require(own && number > last, "I13 a number is given once", || {
            format!("order {order} of partition {partition} has number {number} after {last}")
        })
    }

    fn add_stock(&mut self, sku: &Sku, seq: Seq, fact: &StockFact) -> Checked {
        if self.causal {
            self.may_move(sku, fact)?;
        }
        self.skus.entry(sku.clone()).or_default().add(sku, seq, fact)
    }

    /// What a SKU does with a hold must follow from what its order decided before.
    fn may_move(&self, sku: &Sku, fact: &StockFact) -> Checked {
        match fact {
            StockFact::HoldReleased { hold, .. } | StockFact::HoldForbidden { hold, .. } => {
                let freed = !self.counts_on(sku, *hold) || self.resolved_before(sku, *hold);
                require(freed, "I7 only the order frees", || {
                    format!("{sku} freed the hold of order {} which counts on it ({})", hold.order, self.verdict(*hold))
                })
            }
            StockFact::HoldCommitted { hold, .. } => {
                let sold = self
                    .orders
                    .get(&hold.order)
                    .is_some_and(|book| book.verdict == ReserveDecision::Sold && book.names(sku, *hold));
                require(sold, "I7 committed means sold", || {
                    format!("{sku} committed units to order {} ({})", hold.order, self.verdict(*hold))
                })
            }
            StockFact::HoldPlaced { hold, .. } | StockFact::HoldPinned { hold, .. } | StockFact::HoldUnpinned { hold, .. } => {
                require(self.orders.contains_key(&hold.order), "D4 cause before effect", || {
                    format!("{sku} holds for order {} which is in no journal", hold.order)
                })
            }
            StockFact::Set { .. }
            | StockFact::Adjusted { .. }
            | StockFact::ThresholdSet { .. }
            | StockFact::LocationClosed { .. }
            | StockFact::LevelCrossed { .. } => Ok(()),
        }
    }

    fn verdict(&self, hold: HoldKey) -> String {
        self.orders.get(&hold.order).map_or("unknown".to_owned(), |book| format!("{:?}", book.verdict))
    }

    fn counts_on(&self, sku: &Sku, hold: HoldKey) -> bool {
        self.orders.get(&hold.order).is_none_or(|book| book.counts_on(sku, hold))
    }

    /// The hold ended before: what is freed now is a remainder nobody counts on.
    fn resolved_before(&self, sku: &Sku, hold: HoldKey) -> bool {
        let book = self.skus.get(sku).and_then(|book| book.holds.get(&hold));
        book.is_some_and(|hold| hold.resolved || !hold.stage.live())
    }

    /// An order that says units are held, or are sold, names live holds with the same units.
    fn counts_on_live_holds(&self, id: OrderId, fact: &holdfast_engine::event::OrderFact) -> Checked {
        use holdfast_engine::event::OrderFact;
        let (OrderFact::Held { .. } | OrderFact::Reheld { .. } | OrderFact::Paid { .. } | OrderFact::Confirmed { .. }) = fact
        else {
            return Ok(());
        };
        let Some(book) = self.orders.get(&id) else { return Ok(()) };
        let key = HoldKey { order: id, generation: book.generation };
        for wanted in &book.holds {
            let hold = self.skus.get(&wanted.sku).and_then(|sku| sku.holds.get(&key));
            let there = hold.is_some_and(|hold| hold.stage.live() && hold.allocations == wanted.allocations);
            require(there, "I4 an order counts on live holds", || {
                format!("order {id} says {fact:?} but {} has {hold:?}", wanted.sku)
            })?;
        }
        Ok(())
    }
}

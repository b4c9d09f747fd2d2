//! The facts of one order.
//!
//! Invariants: the first is the placing of the order, and no other is; they are in the order in which they came about. Copies share
//! them: an answer with all of them, or with the first few, costs none. Encoded as a list.

use super::{OrderFact, OrderRecord, Placed};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

#[derive(Clone)]
pub struct History {
    records: Arc<Vec<OrderRecord>>,
    /// Those that are its own, from the first on.
    len: usize,
}

#[expect(clippy::len_without_is_empty, reason = "it is never empty: it begins with the placing of the order")]
impl History {
    /// `None` if the first fact is not the placing of an order, or another one is.
    pub fn new(records: Vec<OrderRecord>) -> Option<Self> {
        let (first, rest) = records.split_first()?;
        let whole = is_placing(first) && !rest.iter().any(is_placing);
        whole.then(|| Self { len: records.len(), records: Arc::new(records) })
    }

    /// Of an order that is placed now, with room for what most open orders have besides: that they hold.
    pub(crate) fn begin(placing: OrderRecord) -> Option<Self> {
        let mut records = Vec::with_capacity(2);
        records.push(placing);
        Self::new(records)
    }

    pub fn placed(&self) -> &Placed {
        let OrderFact::Placed(placed) = &*self.first().fact else {
            unreachable!("a history begins with the placing of its order")
        };
        placed
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Counts the facts: the ETag of the resource.
    pub fn version(&self) -> u32 {
        u32::try_from(self.len).expect("an order has fewer than 2^32 facts")
    }

    pub fn first(&self) -> &OrderRecord {
        &self.records[0]
    }

    /// Of a history that was just read: `None` where another copy shares it.
    pub(crate) fn placing_mut(&mut self) -> Option<&mut Arc<OrderFact>> {
        Arc::get_mut(&mut self.records).map(|records| &mut records[0].fact)
    }

    pub fn last(&self) -> &OrderRecord {
        &self.records[self.len - 1]
    }

    pub fn get(&self, index: usize) -> Option<&OrderRecord> {
        self.records[..self.len].get(index)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, OrderRecord> {
        self.records[..self.len].iter()
    }

    pub fn facts(&self) -> impl ExactSizeIterator<Item = &OrderFact> {
        self.iter().map(|record| &*record.fact)
    }

    /// The first so many facts. `None` if there are fewer, or none are asked for.
    pub fn prefix(&self, len: usize) -> Option<Self> {
        (1..=self.len).contains(&len).then(|| Self { records: self.records.clone(), len })
    }

    /// Copies that share the facts so far do not have this one.
    ///
    /// # Panics
    /// For the placing of an order: it is the first.
    pub fn push(&mut self, record: OrderRecord) {
        assert!(!is_placing(&record), "an order is placed once");
        let records = Arc::make_mut(&mut self.records);
        records.truncate(self.len);
        records.push(record);
        self.len += 1;
    }
}

fn is_placing(record: &OrderRecord) -> bool {
    matches!(*record.fact, OrderFact::Placed(_))
}

impl<'a> IntoIterator for &'a History {
    type Item = &'a OrderRecord;
    type IntoIter = std::slice::Iter<'a, OrderRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.records[..self.len].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let records = Vec::deserialize(deserializer)?;
        Self::new(records)
            .ok_or_else(|| D::Error::custom("a history does not begin with the placing of its order, or has another"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::examples;

    fn expired(seq: u64) -> OrderRecord {
        OrderRecord { seq, at: crate::time::Timestamp::default(), fact: Arc::new(OrderFact::Expired) }
    }

    #[test]
    fn a_history_begins_with_the_placing_of_its_order_and_has_no_other() {
        let whole = examples::history();
        let placing = whole.first().clone();
        assert_eq!(History::new(Vec::new()), None);
        assert_eq!(History::new(vec![expired(1)]), None);
        assert_eq!(History::new(vec![placing.clone(), expired(2), placing]), None);
        assert_eq!(History::new(whole.iter().cloned().collect()), Some(whole));
    }

    #[test]
    fn what_comes_after_a_copy_was_made_is_not_in_the_copy() {
        let whole = examples::history();
        let (mut first, last) = (whole.prefix(1).unwrap(), whole.len());
        first.push(expired(9));
        assert_eq!((first.len(), first.last().seq), (2, 9));
        assert_eq!(whole, examples::history(), "{last} facts as before");
        assert_eq!((whole.prefix(0), whole.prefix(last + 1)), (None, None));
    }
}

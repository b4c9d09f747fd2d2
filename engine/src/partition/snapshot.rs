//! Snapshots of a partition, and the hash that proves a fold equal to another.
//!
//! Invariant: equal states give equal bytes: every map is written in the order of its keys.

mod orders;

use super::changes::Trail;
use super::holds::{HoldRef, SharedHolds};
use super::lists::Listed;
use super::{Causality, KeyRecord, OrderActor, Partition};
use crate::bytes::append;
use crate::codec::{self, origin, sections};
use crate::event::{Changed, Origin, StoredResponse};
use crate::filter::Filter;
use crate::ids::{Fingerprint, HoldKey, KeyHash, OrderId, PartitionId, Partitions, Seq, Sku};
use crate::order::Order;
use crate::stock::{Hold, SkuStock};
use crate::time::{Policy, Timestamp};
use orders::{Histories, Orders};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The state of a partition as it was when this was taken. It shares its holds and answers with the partition, which goes on: what is
/// large about it is encoded elsewhere.
#[derive(Debug)]
pub struct Image {
    head: Head,
    skus: Vec<(Sku, SkuStock)>,
    holds: SharedHolds,
    orders: Orders,
    resolved: VecDeque<(Timestamp, HoldRef)>,
    /// With nothing in place of what is resolved.
    rest: Rest,
    changes: Trail,
}

/// In the order of their keys.
type HoldsOfSku = Vec<(HoldKey, Hold)>;
type Skus = Vec<(Sku, SkuStock, HoldsOfSku)>;

/// What a snapshot begins with. It goes on with SKUs, each with its holds, and orders, and ends with the [`Rest`]. Fields, here and in
/// [`SkuStock`] and [`Hold`], are encoded in their order: it is frozen, as a golden file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    id: PartitionId,
    partitions: u16,
    seq: Seq,
    at: Timestamp,
    logical_time: Timestamp,
    placed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rest {
    keys: Vec<(KeyHash, Fingerprint, Arc<StoredResponse>)>,
    resolved: Vec<(Timestamp, Sku, HoldKey)>,
    archived: Filter,
}

impl Image {
    /// The bytes that [`Partition::restore`] reads. Cost: a visit of every order, SKU and hold.
    pub fn encode(self) -> Vec<u8> {
        let Self { head, skus, holds, mut orders, resolved, mut rest, changes } = self;
        let name = |number: u32| skus[number as usize].0.clone();
        let resolved = resolved.iter().filter_map(|(at, hold)| Some((*at, holds.find(*hold)?)));
        rest.resolved = resolved.map(|(at, found)| (at, name(found.sku), found.key)).collect();
        rest.keys.sort_unstable_by_key(|(key, _, _)| *key);
        orders.sort();
        let mut sections = sections::Sections::new();
        sections.push(sections::IMAGE, |buffer| {
            *buffer = append(&(&head, with_holds(skus, &holds)), std::mem::take(buffer));
            orders.append_histories(buffer);
            *buffer = append(&rest, std::mem::take(buffer));
        });
        if orders.have_origins() {
            sections.push(sections::ORIGINS, |buffer| orders.append_origins(buffer));
        }
        if !changes.is_empty() {
            let changes: Vec<&Changed> = changes.iter().collect();
            sections.push(sections::CHANGES, |buffer| *buffer = append(&changes, std::mem::take(buffer)));
        }
        sections.finish()
    }
}

/// SKUs in the order of their names, each with its holds in the order of their keys.
fn with_holds(skus: Vec<(Sku, SkuStock)>, holds: &SharedHolds) -> Skus {
    let mut all: Skus = skus.into_iter().map(|(sku, stock)| (sku, stock, Vec::new())).collect();
    for (_, found) in holds.iter() {
        all[found.sku as usize].2.push((found.key, found.hold.clone()));
    }
    all.iter_mut().for_each(|(_, _, holds)| holds.sort_unstable_by_key(|(key, _)| *key));
    all.sort_unstable_by(|(one, _, _), (other, _, _)| one.cmp(other));
    all
}

/// Why the bytes of a snapshot are not believed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Codec(#[from] codec::Error),
    #[error("the snapshot is of partition {found} of {partitions}, not of {wanted}")]
    Foreign { found: u16, partitions: u16, wanted: u16 },
    #[error("order {0} is said to have come from somewhere, and is not in the snapshot")]
    Origin(OrderId),
    #[error("the filter of archived ids is of no size it can have")]
    Filter,
}

impl SnapshotError {
    /// Whether a newer build wrote it: such a snapshot is whole, and must not be passed over.
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Codec(codec::Error::Newer(_)))
    }
}

impl Partition {
    /// The whole state as it is now. Cost: a visit of every SKU and a copy of the bytes of every order, but not of holds, which are shared.
    pub fn image(&self) -> Image {
        let keys = self.keys.iter().map(|(key, record)| (*key, record.fingerprint, record.answer.clone()));
        let head = Head {
            id: self.id,
            partitions: self.partitions.count(),
            seq: self.seq,
            at: self.at,
            logical_time: self.logical_time,
            placed: self.placed,
        };
        Image {
            head,
            skus: self.skus.iter().cloned().collect(),
            holds: self.holds.share(),
            orders: Orders::of(self.orders.values().map(|actor| &actor.order)),
            resolved: self.resolved.clone(),
            rest: Rest { keys: keys.collect(), resolved: Vec::new(), archived: self.archived.clone() },
            changes: self.changes.clone(),
        }
    }

    /// The whole state as bytes. Cost: a visit and a copy of every order, SKU and hold.
    pub fn snapshot(&self) -> Vec<u8> {
        self.image().encode()
    }

    /// Hash of the state: `fold(journal)` and the live actor must agree on it.
    pub fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.snapshot())
    }

    /// The partition as it was when the snapshot was taken.
    ///
    /// # Errors
    /// If the bytes are damaged or of another partition.
    pub fn restore(
        id: PartitionId,
        partitions: Partitions,
        causality: Causality,
        policy: Policy,
        bytes: &[u8],
    ) -> Result<Self, SnapshotError> {
        let Read { head, skus, orders, rest, mut origins, changes } = read(bytes)?;
        if head.id != id || head.partitions != partitions.count() {
            return Err(SnapshotError::Foreign { found: head.id.0, partitions: head.partitions, wanted: id.0 });
        }
        let mut partition = Partition::new(id, partitions, causality, policy);
        partition.seq = head.seq;
        partition.snapshot_seq = head.seq;
        partition.at = head.at;
        partition.logical_time = head.logical_time;
        partition.placed = head.placed;
        skus.into_iter().for_each(|(sku, stock, holds)| partition.put_stock(sku, stock, holds));
        for (id, mut history) in orders {
            if let Some(origin) = origins.remove(&id) {
                origin::put(&mut history, origin)?;
            }
            partition.orders.insert(id, Box::new(OrderActor::new(Order::of(id, history))));
        }
        if let Some((id, _)) = origins.pop_first() {
            return Err(SnapshotError::Origin(id));
        }
        partition.listed = Listed::of(partition.orders.values().map(|actor| &actor.order));
        let keys = rest.keys.into_iter();
        partition.keys = keys.map(|(key, fingerprint, answer)| (key, KeyRecord { fingerprint, answer })).collect();
        partition.resolved =
            rest.resolved.into_iter().filter_map(|(at, sku, hold)| Some((at, partition.hold_ref(&sku, &hold)?))).collect();
        if !rest.archived.is_whole() {
            return Err(SnapshotError::Filter);
        }
        partition.archived = rest.archived;
        partition.changes = Trail::read(changes);
        Ok(partition)
    }

    fn put_stock(&mut self, sku: Sku, stock: SkuStock, holds: HoldsOfSku) {
        let sku = self.skus.number_or_new(sku);
        *self.skus.stock_mut(sku) = stock;
        for (key, hold) in holds {
            self.holds.change(sku, key, |place| *place = Some(hold));
        }
    }
}

/// What the sections of a snapshot say: the image, where its orders came from, and what operators changed.
struct Read {
    head: Head,
    skus: Skus,
    orders: Histories,
    rest: Rest,
    origins: BTreeMap<OrderId, Origin>,
    changes: Vec<Changed>,
}

fn read(bytes: &[u8]) -> Result<Read, codec::Error> {
    let sections = sections::read(bytes)?;
    let section = |wanted| sections.iter().find(|(tag, _)| *tag == wanted).map(|(_, bytes)| *bytes);
    let image = section(sections::IMAGE).ok_or(codec::Error::Short)?;
    let ((head, skus), behind): ((Head, Skus), _) = codec::body_of(image)?;
    let (orders, behind) = orders::read(behind)?;
    let rest = codec::whole(codec::body_of(behind)?)?;
    let origins: Vec<(OrderId, Origin)> = list(section(sections::ORIGINS))?;
    let changes = list(section(sections::CHANGES))?;
    Ok(Read { head, skus, orders, rest, origins: origins.into_iter().collect(), changes })
}

/// What a section lists; nothing where there is none.
fn list<T: for<'a> Deserialize<'a>>(section: Option<&[u8]>) -> Result<Vec<T>, codec::Error> {
    section.map_or_else(|| Ok(Vec::new()), |bytes| codec::whole(codec::body_of(bytes)?))
}

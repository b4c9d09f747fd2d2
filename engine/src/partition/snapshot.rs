//! Snapshots of a partition, and the hash that proves a fold equal to another.
//!
//! Invariant: equal states give equal bytes: every map is written in the order of its keys.

use super::holds::{HoldRef, SharedHolds};
use super::lists::Listed;
use super::{Causality, KeyRecord, OrderActor, Partition};
use crate::codec::{self, origin, sections};
use crate::event::{History, Origin, StoredResponse};
use crate::filter::Filter;
use crate::ids::{Fingerprint, HoldKey, KeyHash, OrderId, PartitionId, Partitions, Seq, Sku};
use crate::order::Order;
use crate::stock::{Hold, SkuStock};
use crate::time::{Policy, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The state of a partition as it was when this was taken. It shares its holds, histories' facts and answers with the
/// partition, which goes on: what is large about it is encoded elsewhere.
#[derive(Debug)]
pub struct Image {
    skus: Vec<(Sku, SkuStock)>,
    holds: SharedHolds,
    resolved: VecDeque<(Timestamp, HoldRef)>,
    /// The rest, with nothing in place of these.
    stored: Stored,
}

/// In the order of their keys.
type HoldsOfSku = Vec<(HoldKey, Hold)>;

/// What a snapshot has. Fields, here and in [`SkuStock`] and [`Hold`], are encoded in their order: it is frozen, as a golden file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    id: PartitionId,
    partitions: u16,
    seq: Seq,
    at: Timestamp,
    logical_time: Timestamp,
    placed: u64,
    skus: Vec<(Sku, SkuStock, HoldsOfSku)>,
    orders: Vec<(OrderId, History)>,
    keys: Vec<(KeyHash, Fingerprint, Arc<StoredResponse>)>,
    resolved: Vec<(Timestamp, Sku, HoldKey)>,
    archived: Filter,
}

impl Image {
    /// The bytes that [`Partition::restore`] reads. Cost: a visit of every order, SKU and hold.
    pub fn encode(self) -> Vec<u8> {
        let mut stored = self.whole();
        stored.skus.sort_unstable_by(|(one, _, _), (other, _, _)| one.cmp(other));
        stored.orders.sort_unstable_by_key(|(id, _)| *id);
        stored.keys.sort_unstable_by_key(|(key, _, _)| *key);
        let mut sections = sections::Sections::new();
        sections.push(sections::IMAGE, &stored);
        let origins = stored.orders.iter().filter_map(|(id, history)| Some((*id, origin::of_history(history)?)));
        let origins: Vec<(OrderId, &Origin)> = origins.collect();
        if !origins.is_empty() {
            sections.push(sections::ORIGINS, &origins);
        }
        sections.finish()
    }

    /// Each SKU gets its holds, in the order of their keys.
    fn whole(self) -> Stored {
        let Self { skus, holds, resolved, mut stored } = self;
        let name = |number: u32| skus[number as usize].0.clone();
        let resolved = resolved.iter().filter_map(|(at, hold)| Some((*at, holds.find(*hold)?)));
        stored.resolved = resolved.map(|(at, found)| (at, name(found.sku), found.key)).collect();
        stored.skus = skus.into_iter().map(|(sku, stock)| (sku, stock, Vec::new())).collect();
        for (_, found) in holds.iter() {
            stored.skus[found.sku as usize].2.push((found.key, found.hold.clone()));
        }
        stored.skus.iter_mut().for_each(|(_, _, holds)| holds.sort_unstable_by_key(|(key, _)| *key));
        stored
    }
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
    /// The whole state as it is now. Cost: a visit of every order and SKU, but not of their holds, which are shared.
    pub fn image(&self) -> Image {
        let keys = self.keys.iter().map(|(key, record)| (*key, record.fingerprint, record.answer.clone()));
        let stored = Stored {
            id: self.id,
            partitions: self.partitions.count(),
            seq: self.seq,
            at: self.at,
            logical_time: self.logical_time,
            placed: self.placed,
            skus: Vec::new(),
            orders: self.orders.iter().map(|(id, actor)| (*id, actor.order.history().clone())).collect(),
            keys: keys.collect(),
            resolved: Vec::new(),
            archived: self.archived.clone(),
        };
        Image { skus: self.skus.iter().cloned().collect(), holds: self.holds.share(), resolved: self.resolved.clone(), stored }
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
        let (image, mut origins) = read(bytes)?;
        if image.id != id || image.partitions != partitions.count() {
            return Err(SnapshotError::Foreign { found: image.id.0, partitions: image.partitions, wanted: id.0 });
        }
        let mut partition = Partition::new(id, partitions, causality, policy);
        partition.seq = image.seq;
        partition.at = image.at;
        partition.logical_time = image.logical_time;
        partition.placed = image.placed;
        image.skus.into_iter().for_each(|(sku, stock, holds)| partition.put_stock(sku, stock, holds));
        for (id, mut history) in image.orders {
            if let Some(origin) = origins.remove(&id) {
                origin::put(&mut history, origin)?;
            }
            partition.orders.insert(id, Box::new(OrderActor::new(Order::of(id, history))));
        }
        if let Some((id, _)) = origins.pop_first() {
            return Err(SnapshotError::Origin(id));
        }
        partition.listed = Listed::of(partition.orders.values().map(|actor| &actor.order));
        let keys = image.keys.into_iter();
        partition.keys = keys.map(|(key, fingerprint, answer)| (key, KeyRecord { fingerprint, answer })).collect();
        partition.resolved =
            image.resolved.into_iter().filter_map(|(at, sku, hold)| Some((at, partition.hold_ref(&sku, &hold)?))).collect();
        if !image.archived.is_whole() {
            return Err(SnapshotError::Filter);
        }
        partition.archived = image.archived;
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

/// The sections of a snapshot: the image, and where its orders came from.
fn read(bytes: &[u8]) -> Result<(Stored, BTreeMap<OrderId, Origin>), codec::Error> {
    let sections = sections::read(bytes)?;
    let section = |wanted| sections.iter().find(|(tag, _)| *tag == wanted).map(|(_, bytes)| *bytes);
    let image = codec::whole(codec::body_of(section(sections::IMAGE).ok_or(codec::Error::Short)?)?)?;
    let origins = section(sections::ORIGINS).map(|bytes| codec::whole(codec::body_of::<Vec<(OrderId, Origin)>>(bytes)?));
    Ok((image, origins.transpose()?.unwrap_or_default().into_iter().collect()))
}

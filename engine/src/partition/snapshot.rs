//! Snapshots of a partition, and the hash that proves a fold equal to another.
//!
//! Invariant: equal states give equal bytes: every map is written in the order of its keys.

use super::{Causality, KeyRecord, OrderActor, Partition};
use crate::codec;
use crate::event::{KeptAnswer, OrderRecord};
use crate::filter::Filter;
use crate::ids::{Fingerprint, HoldKey, KeyHash, OrderId, PartitionId, Partitions, Seq, Sku};
use crate::order::Order;
use crate::quantity::Quantity;
use crate::stock::{Hold, Place, SkuStock};
use crate::time::{Policy, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a snapshot is read into. [`View`] is the same to write: the two agree field by field.
#[derive(Deserialize)]
struct Image {
    id: PartitionId,
    partitions: u16,
    seq: Seq,
    at: Timestamp,
    steady: Timestamp,
    placed: u64,
    skus: Vec<(Sku, SkuImage)>,
    orders: Vec<(OrderId, Vec<OrderRecord>)>,
    keys: Vec<(KeyHash, Fingerprint, Arc<KeptAnswer>)>,
    resolved: Vec<(Timestamp, Sku, HoldKey)>,
    archived: Filter,
}

#[derive(Deserialize)]
struct SkuImage {
    version: u64,
    threshold: Quantity,
    places: Vec<Place>,
    holds: Vec<(HoldKey, Hold)>,
}

/// What a snapshot is written from: nothing of it is copied but the keys that have to be sorted.
#[derive(Serialize)]
struct View<'a> {
    id: PartitionId,
    partitions: u16,
    seq: Seq,
    at: Timestamp,
    steady: Timestamp,
    placed: u64,
    skus: Vec<(&'a Sku, SkuView<'a>)>,
    orders: Vec<(OrderId, &'a [OrderRecord])>,
    keys: Vec<(KeyHash, &'a Fingerprint, &'a KeptAnswer)>,
    resolved: &'a VecDeque<(Timestamp, Sku, HoldKey)>,
    archived: &'a Filter,
}

#[derive(Serialize)]
struct SkuView<'a> {
    version: u64,
    threshold: Quantity,
    places: &'a [Place],
    holds: Vec<(HoldKey, &'a Hold)>,
}

/// Why the bytes of a snapshot are not believed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Codec(#[from] codec::Error),
    #[error("the snapshot is of partition {found} of {partitions}, not of {wanted}")]
    Foreign { found: u16, partitions: u16, wanted: u16 },
    #[error("the history of order {0} does not begin with its placing")]
    History(OrderId),
    #[error("the filter of archived ids is of no size it can have")]
    Filter,
}

impl Partition {
    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut skus: Vec<(&Sku, SkuView<'_>)> = self.skus.iter().map(|(sku, stock)| (sku, view_of(stock))).collect();
        skus.sort_unstable_by_key(|(sku, _)| *sku);
        let orders = self.orders.iter().map(|(id, actor)| (*id, actor.order.history.as_slice()));
        let mut orders: Vec<_> = orders.collect();
        orders.sort_unstable_by_key(|(id, _)| *id);
        let keys = self.keys.iter().map(|(key, record)| (*key, &record.fingerprint, &*record.answer));
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable_by_key(|(key, _, _)| *key);
        codec::encode(&View {
            id: self.id,
            partitions: self.partitions.count(),
            seq: self.seq,
            at: self.at,
            steady: self.steady,
            placed: self.placed,
            skus,
            orders,
            keys,
            resolved: &self.resolved,
            archived: &self.archived,
        })
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
        let image: Image = codec::decode(bytes)?;
        if image.id != id || image.partitions != partitions.count() {
            return Err(SnapshotError::Foreign { found: image.id.0, partitions: image.partitions, wanted: id.0 });
        }
        let mut partition = Partition::new(id, partitions, causality, policy);
        partition.seq = image.seq;
        partition.at = image.at;
        partition.steady = image.steady;
        partition.placed = image.placed;
        partition.skus = image.skus.into_iter().map(|(sku, image)| (sku, stock_of(image))).collect();
        for (id, history) in image.orders {
            let order = Order::fold(id, &history).ok_or(SnapshotError::History(id))?;
            partition.orders.insert(id, Box::new(OrderActor::new(order)));
        }
        let keys = image.keys.into_iter();
        partition.keys = keys.map(|(key, fingerprint, answer)| (key, KeyRecord { fingerprint, answer })).collect();
        partition.resolved = image.resolved.into();
        if !image.archived.is_whole() {
            return Err(SnapshotError::Filter);
        }
        partition.archived = image.archived;
        Ok(partition)
    }
}

fn view_of(stock: &SkuStock) -> SkuView<'_> {
    let mut holds: Vec<(HoldKey, &Hold)> = stock.holds.iter().map(|(key, hold)| (*key, hold)).collect();
    holds.sort_unstable_by_key(|(key, _)| *key);
    SkuView { version: stock.version, threshold: stock.threshold, places: &stock.places, holds }
}

fn stock_of(image: SkuImage) -> SkuStock {
    let SkuImage { version, threshold, places, holds } = image;
    SkuStock { version, threshold, places, holds: holds.into_iter().collect() }
}

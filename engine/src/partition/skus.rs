//! The SKUs of a partition: found by name, read in the order of names.
//!
//! Invariant: a SKU that came stays, and so does its number. Records are in chunks, so that a new one moves no more than its chunk.

mod names;

use super::index::{Index, hash_of};
use crate::ids::Sku;
use crate::stock::SkuStock;
use names::Names;
use std::ops::Bound;

/// Records of a chunk. Fewer would make the list of chunks so long that finding one costs a line of cache.
const CHUNK: usize = 2_048;

/// SKUs in the order they came, which their numbers count. No stored data knows numbers.
#[derive(Debug, Default)]
pub(super) struct Skus {
    chunks: Vec<Vec<(Sku, SkuStock)>>,
    index: Index,
    names: Names,
}

impl Skus {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn number(&self, sku: &Sku) -> Option<u32> {
        self.index.find(hash_of(sku), |number| self.name(number) == sku)
    }

    /// The number of a SKU, which comes in without stock if it is not there.
    pub(super) fn number_or_new(&mut self, sku: Sku) -> u32 {
        let hash = hash_of(&sku);
        self.index.find(hash, |number| *self.name(number) == sku).unwrap_or_else(|| self.come(hash, sku))
    }

    fn come(&mut self, hash: u32, sku: Sku) -> u32 {
        let number = u32::try_from(self.len()).expect("the SKUs of a partition are counted in 32 bits");
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push((sku, SkuStock::default())),
            Some(_) => {
                let mut next = Vec::with_capacity(CHUNK);
                next.push((sku, SkuStock::default()));
                self.chunks.push(next);
            }
            // Most partitions of a small shop never fill one.
            None => self.chunks.push(vec![(sku, SkuStock::default())]),
        }
        self.index.insert(hash, number);
        let Self { chunks, names, .. } = self;
        names.insert(number, |number| record(chunks, number).0.as_str());
        number
    }

    /// # Panics
    /// If no SKU has this number.
    pub(super) fn name(&self, number: u32) -> &Sku {
        &record(&self.chunks, number).0
    }

    /// # Panics
    /// If no SKU has this number.
    pub(super) fn stock(&self, number: u32) -> &SkuStock {
        &record(&self.chunks, number).1
    }

    /// # Panics
    /// If no SKU has this number.
    pub(super) fn stock_mut(&mut self, number: u32) -> &mut SkuStock {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK].1
    }

    pub(super) fn get(&self, sku: &Sku) -> Option<&SkuStock> {
        self.number(sku).map(|number| self.stock(number))
    }

    /// In the order they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Sku, SkuStock)> {
        self.chunks.iter().flatten()
    }

    /// In the order of names. Cost: to find the first, as many names as it takes to halve all of them down to one.
    pub(super) fn listed<'a>(&'a self, first: Bound<&'a str>) -> impl Iterator<Item = (&'a Sku, &'a SkuStock)> {
        let numbers = self.names.listed(first, |number| self.name(number).as_str());
        numbers.map(|number| (self.name(number), self.stock(number)))
    }
}

fn record(chunks: &[Vec<(Sku, SkuStock)>], number: u32) -> &(Sku, SkuStock) {
    &chunks[number as usize / CHUNK][number as usize % CHUNK]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::ops::Bound::{Excluded, Included, Unbounded};

    fn sku(number: u16) -> Sku {
        Sku::new(&format!("SKU-{number}")).unwrap()
    }

    #[test]
    fn a_sku_with_a_short_name_at_one_location_takes_one_record() {
        assert_eq!(size_of::<(Sku, SkuStock)>(), 96);
    }

    proptest! {
        #[test]
        fn skus_are_a_map_in_the_order_of_names(
            names in prop::collection::vec(0_u16..6_000, 1..6_000),
            from in 0_u16..6_000,
            sorted in any::<bool>(),
        ) {
            let (mut skus, mut map) = (Skus::default(), BTreeMap::new());
            let mut names: Vec<Sku> = names.into_iter().map(sku).collect();
            if sorted {
                names.sort_unstable();
            }
            for (version, name) in (1..).zip(names) {
                let number = skus.number_or_new(name.clone());
                skus.stock_mut(number).version = version;
                map.insert(name, version);
            }
            prop_assert_eq!(skus.len(), map.len());
            prop_assert!((0..6_000).map(sku).all(|name| skus.get(&name).map(|stock| stock.version) == map.get(&name).copied()));
            let from = sku(from);
            for first in [Included(from.as_str()), Excluded(from.as_str()), Unbounded] {
                let listed = skus.listed(first).map(|(name, stock)| (name, stock.version));
                let wanted = map.range::<str, _>((first, Unbounded)).map(|(name, version)| (name, *version));
                prop_assert!(listed.eq(wanted));
            }
        }
    }
}

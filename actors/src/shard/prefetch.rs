//! Letters are taken out of the inbox a few at a time, and what they need out of memory at once.
//!
//! Invariant: letters are read in the order they came, those that came in bulk in an order of their own: in turns with the others, and
//! in smaller ones, so that neither ever waits for all of the other.

use super::Shard;
use crate::inbox::Letter;
use holdfast_engine::ids::PartitionId;

/// Letters opened at once, and lines of each that are looked at. Measured with two servers side by side under the same load,
/// 10,000 SKUs: the CPU of an order was 0.97 to 1.02 of that without, mostly 0.98; with 16 letters 1.00.
const OPENED: usize = 8;

impl Shard {
    pub(super) fn next_letter(&mut self) -> Option<Letter> {
        if self.opened.is_empty() {
            self.inbox.take(OPENED, &mut self.opened);
            self.opened.iter().for_each(|letter| self.prefetch(letter));
        }
        self.opened.pop_front()
    }

    fn prefetch(&self, letter: &Letter) {
        let Letter::Place { order, placed, .. } = letter else { return };
        let here = |id: PartitionId| self.place[usize::from(id.0)].map(|index| &self.hosted[index].partition);
        if let Some(home) = here(order.partition()) {
            home.prefetch_order(*order);
        }
        for line in placed.lines.iter().take(OPENED) {
            if let Some(home) = here(self.links.router.partitions.of_sku(&line.sku)) {
                home.prefetch_stock(&line.sku, *order);
            }
        }
    }
}

//! Messages are taken out of the inbox a few at a time, and what they need out of memory at once.
//!
//! Invariant: messages are read in the order they came, those that came in bulk in an order of their own: in turns with the others, and
//! in smaller ones, so that neither ever waits for all of the other.

use super::Shard;
use crate::inbox::ShardMessage;
use holdfast_engine::ids::PartitionId;

/// Messages opened at once, and lines of each that are looked at. Measured with two servers side by side under the same load,
/// 10,000 SKUs: the CPU of an order was 0.97 to 1.02 of that without, mostly 0.98; with 16 messages 1.00.
const OPENED: usize = 8;

impl Shard {
    pub(super) fn next_message(&mut self) -> Option<ShardMessage> {
        if self.opened.is_empty() {
            self.inbox.take(OPENED, &mut self.opened);
            self.opened.iter().for_each(|message| self.prefetch(message));
        }
        self.opened.pop_front()
    }

    fn prefetch(&self, message: &ShardMessage) {
        let ShardMessage::Place { order, placed, .. } = message else { return };
        let here = |id: PartitionId| self.hosting.get(id).map(|hosted| &hosted.partition);
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

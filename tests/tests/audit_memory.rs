//! What an audit of a long journal takes, counted by the allocator: memory of what is open, and a few bytes of each order that is over.

use holdfast_engine::audit::Audit;
use holdfast_engine::codec::{Batch, read_frame};
use holdfast_storage::conformance::{World, partitions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

/// Counts the bytes that are in use.
struct Counting;

static IN_USE: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator can only be counted from inside one")]
// SAFETY: all is the system's; only sizes are added up beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Bytes that the audit takes more for these records.
fn taken(audit: &mut Audit, batches: &[Batch]) -> isize {
    let mut taken = 0;
    for batch in batches {
        let frame = batch.frame();
        for entry in read_frame(&frame).expect("it was framed").map(|entry| entry.expect("it was framed")) {
            let record = entry.decode().expect("it was encoded");
            let before = IN_USE.load(Ordering::Relaxed);
            audit.add(entry.partition, &record);
            taken += IN_USE.load(Ordering::Relaxed) - before;
        }
    }
    taken
}

#[test]
fn an_order_that_is_over_takes_at_most_24_bytes_of_an_audit() {
    const ORDERS: isize = 200_000;
    let (mut world, mut audit, mut bytes) = (World::new(partitions()), Audit::default(), 0);
    let set = world.set_stock("A", 1_000_000);
    bytes += taken(&mut audit, &[set]);
    for number in 0..ORDERS {
        let (order, placed) = world.place(&["A"], 1);
        // Every second is sold, the others are given up.
        let over = if number % 2 == 0 { world.confirm(order) } else { world.cancel(order) };
        bytes += taken(&mut audit, &[placed, over]);
        if number % 1000 == 999 {
            let (_, left) = world.leave_memory();
            bytes += taken(&mut audit, &left);
        }
    }
    let each = bytes / ORDERS;
    assert!((8..=24).contains(&each), "{each} bytes an order");
}

//! Bytes that a SKU and an open order take in memory, as the allocator of the server rounds them.
//!
//! Invariant: the same arguments give the same numbers: sizes are counted, not pages.

use clap::Parser;
use holdfast_benches::{Shop, sku, stock};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, Ordering};

/// Partitions of a server that nobody told otherwise.
const PARTITIONS: u64 = 64;

/// Counts the bytes and blocks that are in use.
struct Counting;

static BYTES: AtomicU64 = AtomicU64::new(0);
static BLOCKS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator can only be counted from inside one")]
// SAFETY: all is done by mimalloc; only what it says of its blocks is added up beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        let at = unsafe { mimalloc::MiMalloc.alloc(layout) };
        // SAFETY: the block was allocated above.
        BYTES.fetch_add(unsafe { libmimalloc_sys::mi_usable_size(at.cast()) } as u64, Ordering::Relaxed);
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the block is still there.
        BYTES.fetch_sub(unsafe { libmimalloc_sys::mi_usable_size(at.cast()) } as u64, Ordering::Relaxed);
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { mimalloc::MiMalloc.dealloc(at, layout) }
    }
}

/// Prints bytes and blocks of a SKU and of an open order of one line, in partitions of a server.
#[derive(Parser)]
struct Args {
    /// SKUs, each at one location.
    #[arg(long, default_value_t = 2_000_000)]
    skus: u64,
    /// Orders on SKUs spread among them.
    #[arg(long, default_value_t = 200_000)]
    orders: u64,
}

fn main() {
    let args = Args::parse();
    let mut shops: Vec<Shop> = (0..PARTITIONS).map(|_| Shop::new(0)).collect();
    shown("SKU", args.skus, || {
        for n in 0..args.skus {
            let shop = &mut shops[(n % PARTITIONS) as usize];
            shop.execute(stock(sku(n / PARTITIONS)));
            // At once, so that nothing that waits to be durable is counted.
            shop.commit();
        }
    });
    shown("open order", args.orders, || {
        for n in 0..args.orders {
            // A prime apart, so that neighbours in time are none in memory.
            let wanted = n * 7_919 % (args.skus / PARTITIONS).max(1);
            let shop = &mut shops[(n % PARTITIONS) as usize];
            shop.order(n, &[sku(wanted)]);
            shop.commit();
        }
    });
}

/// Prints what `work` leaves in memory, for each of `count` things.
fn shown(what: &str, count: u64, work: impl FnOnce()) {
    let used = || (BYTES.load(Ordering::Relaxed), BLOCKS.load(Ordering::Relaxed));
    let before = used();
    work();
    let after = used();
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / count.max(1) as f64;
    println!("{what}: {:.0} bytes, {:.2} blocks ({count} of them)", each(after.0, before.0), each(after.1, before.1));
}

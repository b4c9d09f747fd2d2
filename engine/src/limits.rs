//! Every limit of the engine, in one place, with the relations between them asserted at compile time.

/// How long a text may be. Both bounds hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLength {
    /// Unicode scalar values.
    pub characters: usize,
    /// Bytes of UTF-8.
    pub bytes: usize,
}

impl TextLength {
    /// So many characters, whatever they are: none has more than four bytes.
    const fn characters(characters: usize) -> Self {
        Self { characters, bytes: 4 * characters }
    }
}

/// A SKU.
pub const SKU: TextLength = TextLength::characters(128);
/// A location, or the name of a payment provider.
pub const LOCATION: TextLength = TextLength::characters(64);
/// A customer, the owner of a reservation, or a request id.
pub const NAME: TextLength = TextLength::characters(128);
/// A reason, a reference or a seller id.
pub const LABEL: TextLength = TextLength::characters(256);
/// A URL.
pub const URL: TextLength = TextLength { characters: 2048, bytes: 2048 };
/// An idempotency key: visible ASCII, so that its characters are its bytes.
pub const IDEMPOTENCY_KEY: TextLength = TextLength { characters: 255, bytes: 255 };
/// Bytes of the metadata or the address of one order or line, as compact JSON.
pub const MAX_JSON_BYTES: usize = 16 * 1024;
/// How deep lists and objects stand in each other in them.
pub const MAX_JSON_DEPTH: usize = 100;

/// Lines of one order.
pub const MAX_LINES: usize = 500;
/// Units of one line.
pub const MAX_LINE_QUANTITY: u32 = 1_000_000;
/// Units of one bucket of one SKU at one location.
pub const MAX_BUCKET: u32 = 2_000_000_000;
/// Locations of one SKU.
pub const MAX_LOCATIONS: usize = 256;
/// Locations that the SKUs of one order take their units from, all together: the fact that names them is one record.
pub const MAX_ALLOCATIONS: usize = 8_192;
/// Attempts to pay one order.
pub const MAX_ATTEMPTS: u8 = 5;

/// Life of a hold, in milliseconds: shortest, default, longest.
pub const MIN_TTL_MS: u64 = 1_000;
pub const DEFAULT_TTL_MS: u64 = 900_000;
pub const MAX_TTL_MS: u64 = 86_400_000;

/// Items of one reservation batch.
pub const MAX_BATCH: usize = 4_096;
/// SKUs of one availability query.
pub const MAX_QUERY: usize = 1_000;
/// Items of one page of a list, where the caller does not say how many, and at most.
pub const DEFAULT_PAGE: usize = 100;
pub const MAX_PAGE: usize = 1_000;
/// Orders with the lines of those found, or SKUs with their locations, that a partition looks at for a page in one turn.
pub const MAX_SCAN: usize = 2_000;
/// Bytes of one encoded event. Larger than the largest request body can make one.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of an HTTP body.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Bytes of the fact that says what an order holds: names with their lengths, and units.
const MAX_HELD_BYTES: usize = MAX_LINES * (SKU.bytes + 4) + MAX_ALLOCATIONS * (LOCATION.bytes + 7);
// The largest record is an order that comes back into memory: what was asked for, held at first, and held again for late money.
const _: () = assert!(MAX_RECORD_BYTES > 2 * MAX_BODY_BYTES + (1 + MAX_ATTEMPTS as usize) * MAX_HELD_BYTES);
const _: () = assert!(MAX_ALLOCATIONS >= MAX_LINES && MAX_ALLOCATIONS >= MAX_LOCATIONS);
const _: () = assert!(MIN_TTL_MS <= DEFAULT_TTL_MS && DEFAULT_TTL_MS <= MAX_TTL_MS);
const _: () = assert!(MAX_LINE_QUANTITY < MAX_BUCKET);
const _: () = assert!(DEFAULT_PAGE <= MAX_PAGE && 2 * MAX_PAGE <= MAX_SCAN);
const _: () = assert!((MAX_BUCKET as u64) * (MAX_LOCATIONS as u64) < u64::MAX / 2);

/// How long a resolved hold is remembered, in event time, so that a late duplicate is recognised.
/// A constant, not a setting: replay must forget exactly where the live actor forgot.
pub const RESOLVED_MS: u64 = 30_000;
/// What one record adds to that time at most: a clock that jumps ahead must not make a message on its way look old.
pub const MAX_LULL_MS: u64 = 1_000;

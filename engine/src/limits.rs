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
/// A correlation id: visible ASCII too.
pub const CORRELATION_ID: TextLength = TextLength { characters: 64, bytes: 64 };
/// Bytes of the metadata or the address of one order or line, as compact JSON.
pub const MAX_JSON_BYTES: usize = 16 * 1024;
/// How deep lists and objects stand in each other in them.
pub const MAX_JSON_DEPTH: usize = 100;

/// Partitions of one set of data.
pub const MAX_PARTITIONS: u16 = 4_096;

/// Lines of one order.
pub const MAX_LINES: usize = 500;
/// Units of one line.
pub const MAX_LINE_QUANTITY: u32 = 1_000_000;
/// Units of one bucket of one SKU at one location.
pub const MAX_BUCKET: u32 = 2_000_000_000;
/// Locations of one SKU.
pub const MAX_LOCATIONS: usize = 256;
/// Allocations of one order: the locations that its SKUs take units from, all together. Each SKU has an equal share, and never more
/// than [`MAX_LOCATIONS`]: the fact that names them all is one record.
pub const MAX_ALLOCATIONS: usize = 4_096;
/// Attempts to pay one order.
pub const MAX_ATTEMPTS: u8 = 5;

/// Life of a hold, in milliseconds: shortest, default, longest.
pub const MIN_TTL_MS: u64 = 1_000;
pub const DEFAULT_TTL_MS: u64 = 900_000;
pub const MAX_TTL_MS: u64 = 86_400_000;
/// How long after it was placed a hold that is extended may end, and how often it may be extended, where the settings do not say.
pub const DEFAULT_LIFE_MS: u64 = 7 * 86_400_000;
pub const DEFAULT_EXTENSIONS: u32 = 1_000;
/// Extensions that the settings may allow at most: the history of an order is one row.
pub const MAX_EXTENSIONS: u32 = 10_000;

/// Items of one reservation batch.
pub const MAX_BATCH: usize = 4_096;
/// Bytes of one line of an import.
pub const MAX_IMPORT_LINE_BYTES: usize = 64 * 1024;
/// SKUs of one availability query.
pub const MAX_QUERY: usize = 1_000;
/// Items of one page of a list, where the caller does not say how many, and at most.
pub const DEFAULT_PAGE: usize = 100;
pub const MAX_PAGE: usize = 1_000;
/// Orders with the lines of those found, or SKUs with their locations, that a partition looks at for a page in one turn.
pub const MAX_SCAN: usize = 2_000;
/// Bytes of orders, about as many as they are shown in, after which a page of them ends.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;
/// What operators changed last that a partition remembers, and that one request may change.
pub const MAX_CHANGES: usize = 1_000;
pub const MAX_CHANGES_AT_ONCE: usize = 64;
/// Bytes of an HTTP body.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Bytes of one fact, row of a projection or answer of a key that is written: all are smaller, whatever clients ask for.
pub const MAX_FACT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one record that is read. More than any that is written now: those of earlier versions were larger and stay readable.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// Orders or keys that one fact lets leave memory.
pub const MAX_ARCHIVED: usize = 65_536;

/// Bytes of an encoded number and of the length of a text, at most.
const NUMBER: usize = 10;
const LENGTH: usize = 3;
/// Bytes of where an order came from: two texts with their lengths, and whether they are there.
pub(crate) const MAX_ORIGIN_BYTES: usize = NAME.bytes + CORRELATION_ID.bytes + 2 * (LENGTH + 1);
/// Bytes of what was asked for: JSON takes more for it than its encoding, but for what does not come in the body.
pub(crate) const MAX_PLACED_BYTES: usize = MAX_BODY_BYTES + NAME.bytes + 8 * NUMBER + 64 + MAX_ORIGIN_BYTES;
/// Bytes of the fact that says what an order holds: names with their lengths, and units.
pub(crate) const MAX_HELD_BYTES: usize =
    MAX_LINES * (SKU.bytes + 2 * LENGTH) + MAX_ALLOCATIONS * (LOCATION.bytes + LENGTH + NUMBER) + 3 * NUMBER;
/// Bytes of the fact that says what an order could not have.
pub(crate) const MAX_REJECTED_BYTES: usize = MAX_LINES * (SKU.bytes + LENGTH + 4 * NUMBER) + 2 * NUMBER;
/// Bytes of the view of a SKU, which is kept under the key of what changed it.
pub(crate) const MAX_VIEW_BYTES: usize = SKU.bytes + 6 * NUMBER + MAX_LOCATIONS * (LOCATION.bytes + 9 * NUMBER);
/// Bytes of all that an attempt to pay adds to its order: what starts it has texts, each fact has its place and a few numbers.
const MAX_ATTEMPT_BYTES: usize = 2 * URL.bytes + LOCATION.bytes + 64 + 8 * (6 * NUMBER);
/// Bytes of the facts of an order that come once and are small, with the reasons that some of them have.
const MAX_SMALL_BYTES: usize = 2 * LABEL.bytes + 16 * (4 * NUMBER);
/// Bytes of all extensions of a reservation.
const MAX_EXTENDED_BYTES: usize = MAX_EXTENSIONS as usize * (4 * NUMBER);
/// Bytes of an order with everything that can ever happen to it: the row of a projection, and the fact by which it comes back into
/// memory. An order holds at first, and once again for late money; a reservation is extended instead.
pub(crate) const MAX_HISTORY_BYTES: usize =
    MAX_PLACED_BYTES + 2 * MAX_HELD_BYTES + MAX_ATTEMPTS as usize * MAX_ATTEMPT_BYTES + MAX_SMALL_BYTES;

const _: () = assert!(MAX_HISTORY_BYTES < MAX_FACT_BYTES);
const _: () = assert!(MAX_REJECTED_BYTES < MAX_HELD_BYTES && MAX_EXTENDED_BYTES < MAX_HELD_BYTES);
const _: () = assert!(MAX_VIEW_BYTES < MAX_FACT_BYTES && MAX_ARCHIVED * 2 * NUMBER < MAX_FACT_BYTES);
const _: () = assert!(MAX_FACT_BYTES < MAX_RECORD_BYTES);
const _: () = assert!(MAX_ALLOCATIONS >= MAX_LINES && MAX_ALLOCATIONS >= MAX_LOCATIONS);
// The units of an order are counted in 32 bits.
const _: () = assert!(MAX_LINES as u64 * MAX_LINE_QUANTITY as u64 <= MAX_BUCKET as u64);
const _: () = assert!(MAX_TTL_MS <= DEFAULT_LIFE_MS && DEFAULT_EXTENSIONS <= MAX_EXTENSIONS);
const _: () = assert!(MIN_TTL_MS <= DEFAULT_TTL_MS && DEFAULT_TTL_MS <= MAX_TTL_MS);
const _: () = assert!(MAX_LINE_QUANTITY < MAX_BUCKET);
const _: () = assert!(DEFAULT_PAGE <= MAX_PAGE && 2 * MAX_PAGE <= MAX_SCAN);
const _: () = assert!((MAX_BUCKET as u64) * (MAX_LOCATIONS as u64) < u64::MAX / 2);

/// How long a resolved hold is remembered, in event time, so that a late duplicate is recognised.
/// A constant, not a setting: replay must forget exactly where the live actor forgot.
pub const RESOLVED_MS: u64 = 30_000;
/// What one record adds to that time at most: a clock that jumps ahead must not make a message on its way look old.
pub const MAX_TIME_STEP_MS: u64 = 1_000;

//! Every limit of the engine, in one place, with the relations between them asserted at compile time.

/// Bytes of a SKU.
pub const MAX_SKU_BYTES: usize = 128;
/// Bytes of a location or provider name.
pub const MAX_LOCATION_BYTES: usize = 64;
/// Bytes of a customer, owner or request id.
pub const MAX_NAME_BYTES: usize = 128;
/// Bytes of a reason, reference or seller id.
pub const MAX_LABEL_BYTES: usize = 256;
/// Bytes of a URL.
pub const MAX_URL_BYTES: usize = 2048;
/// Bytes of the metadata or the address of one order or line, as compact JSON.
pub const MAX_JSON_BYTES: usize = 16 * 1024;

/// Lines of one order.
pub const MAX_LINES: usize = 500;
/// Units of one line.
pub const MAX_LINE_QUANTITY: u32 = 1_000_000;
/// Units of one bucket of one SKU at one location.
pub const MAX_BUCKET: u32 = 2_000_000_000;
/// Locations of one SKU.
pub const MAX_LOCATIONS: usize = 256;
/// Attempts to pay one order.
pub const MAX_ATTEMPTS: u8 = 5;

/// Life of a hold, in milliseconds: shortest, default, longest.
pub const MIN_TTL_MS: u64 = 1_000;
pub const DEFAULT_TTL_MS: u64 = 900_000;
pub const MAX_TTL_MS: u64 = 86_400_000;

/// Bytes of an idempotency key.
pub const MAX_KEY_BYTES: usize = 255;
/// Entries of one page: most, and where nothing is said.
pub const MAX_PAGE: usize = 1_000;
pub const DEFAULT_PAGE: usize = 100;

/// Items of one reservation batch.
pub const MAX_BATCH: usize = 4_096;
/// SKUs of one availability query.
pub const MAX_QUERY: usize = 1_000;
/// Bytes of one encoded event. Larger than the largest request body can make one.
pub const MAX_RECORD_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of an HTTP body.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

const _: () = assert!(MAX_RECORD_BYTES > 2 * MAX_BODY_BYTES);
const _: () = assert!(MIN_TTL_MS <= DEFAULT_TTL_MS && DEFAULT_TTL_MS <= MAX_TTL_MS);
const _: () = assert!(MAX_LINE_QUANTITY < MAX_BUCKET);
const _: () = assert!((MAX_BUCKET as u64) * (MAX_LOCATIONS as u64) < u64::MAX / 2);

/// How long a resolved hold is remembered, in event time, so that a late duplicate is recognised.
/// A constant, not a setting: replay must forget exactly where the live actor forgot.
pub const RESOLVED_MS: u64 = 30_000;
/// What one record adds to that time at most: a clock that jumps ahead must not make a message on its way look old.
pub const MAX_LULL_MS: u64 = 1_000;

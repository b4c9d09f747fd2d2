//! Names and ids. Every id is made by a checked constructor or derived from another id, never drawn at random here.
//!
//! Invariant: an [`OrderId`] carries the partition of its order, so any holder of the id can route to it.

use compact_str::CompactString;
use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::LazyLock;

use crate::{codec, limits};

/// Number of a partition: the unit of order, durability and ownership. Never larger than the count fixed at creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u16);

/// How many partitions this data was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partitions(u16);

impl Partitions {
    /// Between 1 and 4,096, otherwise `None`.
    pub fn new(count: u16) -> Option<Self> {
        (1..=4096).contains(&count).then_some(Self(count))
    }

    pub fn count(self) -> u16 {
        self.0
    }

    pub fn all(self) -> impl Iterator<Item = PartitionId> {
        (0..self.0).map(PartitionId)
    }

    /// Where the actor of a SKU lives. xxh3 is stable across versions, which routing needs.
    pub fn of_sku(self, sku: &Sku) -> PartitionId {
        let hash = xxhash_rust::xxh3::xxh3_64(sku.as_str().as_bytes());
        PartitionId((hash % u64::from(self.0)) as u16)
    }
}

/// Sequence number of an event inside its partition: 1, 2, 3, … without a gap.
pub type Seq = u64;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $min:expr, $max:expr, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "CompactString")]
        pub struct $name(CompactString);

        impl $name {
            pub fn new(text: &str) -> Option<Self> {
                let fits = ($min..=$max).contains(&text.len()) && text.chars().all($ok);
                fits.then(|| Self(CompactString::new(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<CompactString> for $name {
            type Error = &'static str;
            fn try_from(text: CompactString) -> Result<Self, Self::Error> {
                Self::new(&text).ok_or(concat!(stringify!($name), " out of bounds"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

fn printable(c: char) -> bool {
    !c.is_control()
}

text!(
    /// Stock keeping unit: 1 to 128 bytes of visible characters.
    Sku, 1, limits::MAX_SKU_BYTES, visible
);
text!(
    /// A warehouse, shop or shelf that holds units: 1 to 64 bytes of visible characters.
    Location, 1, limits::MAX_LOCATION_BYTES, visible
);
text!(
    /// Whoever places an order or owns a reservation, as the storefront names them.
    CustomerId, 1, limits::MAX_NAME_BYTES, printable
);
text!(
    /// Free text of a caller: reason, reference, seller. At most 256 bytes.
    Label, 1, limits::MAX_LABEL_BYTES, printable
);
text!(
    /// The name of a payment provider.
    Provider, 1, limits::MAX_LOCATION_BYTES, visible
);
text!(
    /// The id of one HTTP request, echoed in its problem documents.
    RequestId, 1, limits::MAX_NAME_BYTES, visible
);
text!(
    /// An absolute or rooted URL.
    Url, 1, limits::MAX_URL_BYTES, visible
);

/// Hash of (client, route, `Idempotency-Key`): equal keys of different clients or routes never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u8; 16]);

impl KeyHash {
    /// blake3, truncated to 128 bits: a client cannot make two keys collide on purpose.
    pub fn derive(client: &str, route: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [client, route, key] {
            hasher.update(&(part.len() as u32).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut out = [0; 16];
        out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(out)
    }
}

/// Hash of the meaning of a request body: same fields and values, same fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    pub fn of(value: &impl Serialize) -> Self {
        thread_local! {
            static SCRATCH: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            let bytes = codec::append(value, std::mem::take(scratch));
            let hash = xxhash_rust::xxh3::xxh3_128(&bytes);
            *scratch = bytes;
            Self(hash)
        })
    }
}

/// Id of an order or of a direct reservation. Derived from the idempotency key, so the key and its order share a partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderId([u8; 16]);

impl OrderId {
    /// Characters of a printed id, without its prefix.
    pub const TEXT: usize = 26;

    pub fn derive(key: KeyHash, partitions: Partitions) -> Self {
        let mut bytes = key.0;
        let partition = u16::from_be_bytes([bytes[0], bytes[1]]) % partitions.count();
        bytes[..2].copy_from_slice(&partition.to_be_bytes());
        Self(bytes)
    }

    pub fn partition(self) -> PartitionId {
        PartitionId(u16::from_be_bytes([self.0[0], self.0[1]]))
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The characters after the prefix of a printed id.
    pub fn text(self) -> [u8; Self::TEXT] {
        let mut text = [0; Self::TEXT];
        BASE32.encode_mut(&self.0, &mut text);
        text
    }

    /// The inverse of [`Self::text`].
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE32.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One try to pay an order, numbered from 1 inside the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    pub order: OrderId,
    pub number: u8,
}

impl AttemptId {
    pub fn parse(text: &str) -> Option<Self> {
        let (order, number) = text.strip_prefix("pay_")?.split_once('-')?;
        let attempt = Self { order: OrderId::parse(order)?, number: number.parse().ok()? };
        // Neither `-01` nor `-+1` is `-1`.
        (attempt.to_string() == text).then_some(attempt)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pay_{}-{}", self.order, self.number)
    }
}

/// The hold of one order on one SKU. A late payment makes a new generation, never a second life of an old hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HoldKey {
    pub order: OrderId,
    pub generation: u8,
}

/// Where the answer to a command goes: made by the shell, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Lower-case Crockford alphabet without padding: no letter looks like a digit.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    match spec.encoding() {
        Ok(encoding) => encoding,
        Err(error) => unreachable!("the alphabet is a constant: {error}"),
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_survives_print_and_parse_and_carries_its_partition() {
        let partitions = Partitions::new(64).unwrap();
        for n in 0..1000 {
            let id = OrderId::derive(KeyHash::derive("c", "orders", &n.to_string()), partitions);
            assert!(id.partition().0 < 64);
            assert_eq!(OrderId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(OrderId::parse("short"), None);
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = OrderId::derive(KeyHash::derive("c", "orders", "k"), Partitions::new(64).unwrap());
        let text = id.to_string();
        let last = text.len() - 1;
        // Two bits of the last character carry nothing.
        let spellings = "123567".chars().map(|digit| format!("{}{digit}", &text[..last])).filter(|other| *other != text);
        assert_eq!(spellings.filter(|other| OrderId::parse(other).is_some_and(|parsed| parsed == id)).count(), 0);
        assert_eq!(OrderId::parse(&text.to_uppercase()), None);
        assert_eq!(AttemptId::parse(&format!("pay_{text}-1")), Some(AttemptId { order: id, number: 1 }));
        for wrong in ["-01", "-+1", "-256", "-", "", "-1-1", "-1 "] {
            assert_eq!(AttemptId::parse(&format!("pay_{text}{wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn keys_of_different_clients_or_routes_never_meet() {
        let all = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("x", "b", "c")];
        let hashes: std::collections::BTreeSet<_> = all.iter().map(|(c, r, k)| KeyHash::derive(c, r, k)).collect();
        assert_eq!(hashes.len(), all.len());
    }

    #[test]
    fn names_out_of_bounds_are_refused() {
        assert!(Sku::new("").is_none());
        assert!(Sku::new("has space").is_none());
        assert!(Sku::new(&"x".repeat(129)).is_none());
        assert!(Sku::new(&"x".repeat(128)).is_some());
    }
}

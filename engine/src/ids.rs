//! Names and ids. Every id is made by a checked constructor or derived from another id, never drawn at random here.
//!
//! Invariant: an [`OrderId`] carries the partition of its order, so any holder of the id can route to it.

use compact_str::CompactString;
use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::sync::LazyLock;
use unicode_general_category::{GeneralCategory as Category, get_general_category};

use crate::limits;
use crate::limits::TextLength;

/// Number of a partition: the unit of order, durability and ownership. Never larger than the count fixed at creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u16);

/// How many partitions this data was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partitions(u16);

impl Partitions {
    /// Between 1 and [`limits::MAX_PARTITIONS`], otherwise `None`.
    pub fn new(count: u16) -> Option<Self> {
        (1..=limits::MAX_PARTITIONS).contains(&count).then_some(Self(count))
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
        PartitionId(u16::try_from(hash % u64::from(self.0)).expect("less than the count of partitions"))
    }
}

/// Sequence number of an event inside its partition: 1, 2, 3, … without a gap.
pub type Seq = u64;

/// A type of texts.
pub(crate) trait Text {
    /// Whether a record may hold this one.
    fn allows(text: &str) -> bool;
}

/// JSON of callers: whatever it is, it was checked before it came here.
impl Text for str {
    fn allows(_: &str) -> bool {
        true
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $length:expr, $ok:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "CompactString")]
        pub struct $name(CompactString);

        impl $name {
            pub const LENGTH: TextLength = $length;

            /// What a record may hold. A name that a request makes up must also have nothing [`invisible`] in it: such names
            /// are in data of earlier versions and stay what they are.
            pub fn new(text: &str) -> Option<Self> {
                Self::allows(text).then(|| Self::of_checked(text))
            }

            /// Of a text that was checked when it came.
            pub(crate) fn of_checked(text: &str) -> Self {
                Self(CompactString::new(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// What a text must be, in words.
            pub fn rule() -> String {
                format!("must be 1 to {} {} characters", Self::LENGTH.characters, stringify!($ok))
            }
        }

        impl Text for $name {
            fn allows(text: &str) -> bool {
                fits(text, Self::LENGTH) && (graphic(text) || text.chars().all($ok))
            }
        }

        impl TryFrom<CompactString> for $name {
            type Error = &'static str;
            fn try_from(text: CompactString) -> Result<Self, Self::Error> {
                Self::new(&text).ok_or(concat!(stringify!($name), " out of bounds"))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn fits(text: &str, length: TextLength) -> bool {
    let few = text.len() <= length.characters || text.chars().count() <= length.characters;
    (1..=length.bytes).contains(&text.len()) && few
}

/// Letters, digits and signs of ASCII alone, as nearly every name is: every rule takes these, and bytes are told apart faster than
/// characters.
fn graphic(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

fn printable(c: char) -> bool {
    !c.is_control()
}

fn visible_ascii(c: char) -> bool {
    c.is_ascii_graphic()
}

/// The first character of a text that nobody sees, so that two names which look alike are not the same: a format character
/// (category Cf, with byte-order marks and zero-width spaces), a line or paragraph separator, a variation selector, or another one
/// that Unicode calls ignorable by default. Whether a character is assigned does not matter: Unicode goes on assigning.
pub fn invisible(text: &str) -> Option<char> {
    if text.is_ascii() {
        return None;
    }
    let unseen = |c: &char| {
        matches!(get_general_category(*c), Category::Format | Category::LineSeparator | Category::ParagraphSeparator)
            || ignorable(*c)
    };
    text.chars().find(unseen)
}

/// Default_Ignorable_Code_Point of Unicode where the category is not Cf: variation selectors, fillers, and what is set aside for more.
fn ignorable(c: char) -> bool {
    matches!(c,
        '\u{34F}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{2065}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{E0000}'..='\u{E0FFF}')
}

text!(
    /// Stock keeping unit. Names are compared byte by byte: nothing is normalised.
    Sku, limits::SKU, visible
);
text!(
    /// A warehouse, shop or shelf that holds units.
    Location, limits::LOCATION, visible
);
text!(
    /// Whoever places an order or owns a reservation, as the storefront names them.
    CustomerId, limits::NAME, printable
);
text!(
    /// Free text of a caller: reason, reference, seller.
    Label, limits::LABEL, printable
);
text!(
    /// The name of a payment provider.
    Provider, limits::LOCATION, visible
);
text!(
    /// The id of one HTTP request, echoed in its problem documents.
    RequestId, limits::NAME, visible
);
text!(
    /// The name of the API key that a request came with.
    KeyName, limits::NAME, printable
);
text!(
    /// What a caller relates an order to, in systems of their own.
    CorrelationId, limits::CORRELATION_ID, visible_ascii
);
text!(
    /// An absolute or rooted URL.
    Url, limits::URL, visible
);

/// Hash of (client, route, `Idempotency-Key`): equal keys of different clients or routes never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u8; 16]);

impl KeyHash {
    /// blake3, truncated to 128 bits: a client cannot make two keys collide on purpose.
    pub fn derive(client: &str, route: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [client, route, key] {
            let length = u32::try_from(part.len()).expect("names of clients, routes and keys are short");
            hasher.update(&length.to_le_bytes());
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

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.order, self.number)
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
    fn graphic_ascii_is_in_every_name() {
        for byte in b'!'..=b'~' {
            let c = char::from(byte);
            assert!(graphic(&c.to_string()) && visible(c) && printable(c) && visible_ascii(c), "{c}");
        }
        for text in ["a b", "a\u{7f}", "a\n", "ü", "a\u{200b}"] {
            assert!(!graphic(text), "{text:?}");
        }
    }

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
        assert!(Sku::new("line\u{2028}separator").is_none());
        for character in ["x", "ß", "字", "🛒"] {
            assert!(Sku::new(&character.repeat(129)).is_none(), "{character}");
            assert!(Sku::new(&character.repeat(128)).is_some(), "{character}");
        }
        assert_eq!([Sku::LENGTH.bytes, Location::LENGTH.bytes, Label::LENGTH.bytes], [512, 256, 1024]);
        assert_eq!(Sku::rule(), "must be 1 to 128 visible characters");
        assert_eq!(CustomerId::rule(), "must be 1 to 128 printable characters");
    }

    /// Data of earlier versions has them: it is read as it is.
    #[test]
    fn a_record_may_hold_what_no_new_name_may() {
        for name in ["zero\u{200B}width", "\u{FEFF}mark", "heart\u{2764}\u{FE0F}", "soft\u{AD}hyphen"] {
            assert!(Sku::new(name).is_some(), "{name:?}");
            assert!(invisible(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_found_and_what_somebody_sees_is_not() {
        let unseen = "\u{AD}\u{34F}\u{600}\u{61C}\u{70F}\u{115F}\u{180E}\u{180B}\u{180F}\u{200B}\u{200C}\u{200D}\u{200E}\u{202E}\u{2028}\u{2029}\
            \u{2060}\u{2065}\u{2066}\u{206F}\u{3164}\u{FE00}\u{FE0F}\u{FEFF}\u{FFA0}\u{FFF9}\u{110BD}\u{1BCA0}\u{1D173}\u{E0001}\u{E0020}\u{E007F}\u{E0100}\u{E01EF}";
        for c in unseen.chars() {
            assert_eq!(invisible(&format!("a{c}b")), Some(c), "U+{:04X}", u32::from(c));
        }
        let seen = "aZ9-_ äß€ÅنД字の한ก\u{301}\u{0E31}🛒👍🏽\u{E000}\u{378}";
        assert_eq!(invisible(seen), None);
    }
}

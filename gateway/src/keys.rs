//! API keys: made here, stored as hashes, compared in constant time.
//!
//! A key is `hf_` and 32 random bytes in base32. Random bytes need no slow hash: blake3 of the key is stored.

mod current;
pub mod file;
pub mod refusals;
pub mod role;

pub use current::Keys;
pub use file::{FILE, MARK};
pub use role::Role;

use crate::process::file_error::FileError;
use compact_str::CompactString;
use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use holdfast_engine::ids::{KeyName, invisible};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// The keys this server takes at one moment.
pub struct ApiKeys {
    known: Vec<Known>,
    /// Those that were taken back: nobody comes in with one, and what was placed with it stays with its scope.
    revoked: Vec<Known>,
}

/// A key that is taken.
#[derive(Clone)]
pub struct Known {
    hash: [u8; 32],
    /// `None` where it is longer than a name may be, or not printable: such keys were made once, and are served no more.
    pub name: Option<KeyName>,
    /// What the idempotency keys of its owner are bound to: whoever comes under the same scope is the same caller.
    pub scope: CompactString,
    pub role: Role,
    pub revoked: bool,
}

impl Known {
    /// A number of its own.
    pub fn id(&self) -> u128 {
        let (id, _) = self.hash.split_first_chunk().unwrap_or_else(|| unreachable!("a hash has 32 bytes"));
        u128::from_be_bytes(*id)
    }
}

/// An API key, stored as its hash.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    pub name: String,
    pub hash: String,
    /// What idempotency keys sent with it are bound to. None: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What its owner may do.
    #[serde(default, skip_serializing_if = "Role::is_default")]
    pub role: Role,
    /// It was taken back, and is kept for the orders that were placed with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revoked: bool,
}

pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

impl KeyEntry {
    /// What its owner's idempotency keys are bound to.
    pub fn scope(&self) -> &str {
        self.scope.as_deref().unwrap_or(&self.name)
    }
}

/// A new key. The secret is shown once and never stored.
pub struct NewKey {
    pub secret: String,
    pub entry: KeyEntry,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("API key {0:?}: the hash must be 64 hexadecimal digits, as `holdfast key new` prints it")]
    Hash(String),
    #[error(
        "{path}:{line}: is no API key: lines are {{\"name\": …, \"hash\": …}}, as `holdfast key new` writes them\n  restore the file from a \
         copy, or delete it and make its keys again under the same names and scopes (`holdfast key new`)"
    )]
    Line { path: String, line: usize },
    #[error(
        "{path}:{line}: is not what `holdfast key` wrote: it or a line before it was changed or is gone\n  restore the file from a copy, \
         or delete it and make its keys again under the same names and scopes (`holdfast key new`); keys are taken back with `holdfast key revoke`"
    )]
    Changed { path: String, line: usize },
    #[error(
        "{path}: the end of the file is gone\n  restore it from a copy, or delete it and make its keys again under the same names and scopes \
         (`holdfast key new`)"
    )]
    Cut { path: String },
    #[error(
        "{path}: {what}, and there have been API keys here: without them whoever reaches the port could do everything\n  restore it from \
         a copy, or make keys again under the same names and scopes (`holdfast key new`); if nobody shall need one any more, delete \
         {path} and {mark}"
    )]
    Lost { path: String, mark: String, what: &'static str },
    #[error("no API key can be named {0:?}: its name {1}")]
    Name(String, String),
    /// In a file `place` is `PATH:LINE: `, elsewhere nothing: of settings their place is said in front of every mistake.
    #[error(
        "{place}API key {name:?}: its name {rule}: orders that are placed with it would have no owner\n  make one with another name under its \
         scope (`holdfast key new --name NAME --scope {scope:?}`) and take this one back (`holdfast key revoke`, or out of [auth] keys)"
    )]
    Nameless { place: String, name: String, rule: String, scope: String },
    #[error("no API key of the name {0:?} is in {1}: `holdfast key list` shows those that are")]
    Unknown(String, String),
    #[error(
        "no API key of the name {name:?} in {path} has a hash that begins with {hash:?}: `holdfast key list` shows those that do"
    )]
    NoSuchHash { name: String, hash: String, path: String },
    #[error("API keys: {0}")]
    File(#[from] FileError),
    #[error("no random numbers: {0}")]
    Random(String),
}

impl ApiKeys {
    fn of(all: Vec<Known>) -> Self {
        let (revoked, known) = all.into_iter().partition(|key| key.revoked);
        Self { known, revoked }
    }

    /// Whether this key is still taken.
    pub fn has(&self, key: &Known) -> bool {
        self.known.iter().any(|known| bool::from(known.hash.ct_eq(&key.hash)))
    }

    /// Whether the key of this number is still taken.
    pub fn has_number(&self, number: u128) -> bool {
        self.known.iter().any(|known| known.id() == number)
    }

    /// What is known of a key. Looks at every key, whichever matches.
    pub fn find(&self, key: &str) -> Option<&Known> {
        let hash = blake3::hash(key.as_bytes());
        let mut found = None;
        for known in &self.known {
            if bool::from(known.hash.ct_eq(hash.as_bytes())) {
                found = Some(known);
            }
        }
        found
    }

    /// Whether what a client of this name placed is of this scope. Of a key that is not known any more the scope was its name: others are kept.
    pub fn is_of_scope(&self, client: &str, scope: &str) -> bool {
        let is_named = |known: &&Known| known.name.as_ref().is_some_and(|name| name.as_str() == client);
        let mut scopes = self.known.iter().chain(&self.revoked).filter(is_named).map(|known| known.scope.as_str()).peekable();
        if scopes.peek().is_none() { client == scope } else { scopes.any(|known| known == scope) }
    }
}

/// # Errors
/// If the hash is none.
pub fn parse(entry: &KeyEntry) -> Result<Known, Error> {
    let bytes = HEXLOWER_PERMISSIVE.decode(entry.hash.as_bytes()).ok();
    let hash = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| Error::Hash(entry.name.clone()))?;
    let (scope, name) = (CompactString::new(entry.scope()), KeyName::new(&entry.name));
    Ok(Known { hash, name, scope, role: entry.role, revoked: entry.revoked })
}

/// A key that can be served: what its owner places is known by its name.
///
/// # Errors
/// If the hash is none, or the name is none that an order can have: it would be everybody's. `place` is said in front of that.
pub fn usable(entry: &KeyEntry, place: &str) -> Result<Known, Error> {
    let known = parse(entry)?;
    let (name, scope) = (entry.name.clone(), entry.scope().to_owned());
    let nameless = || Error::Nameless { place: place.to_owned(), name, rule: KeyName::rule(), scope };
    if known.name.is_none() && !known.revoked { Err(nameless()) } else { Ok(known) }
}

/// # Errors
/// If nobody could read the name, or the system has no random numbers.
pub fn create(name: &str, scope: Option<&str>, role: Role) -> Result<NewKey, Error> {
    check_name(name)?;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    let secret = format!("hf_{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
    let hash = HEXLOWER.encode(blake3::hash(secret.as_bytes()).as_bytes());
    Ok(NewKey { secret, entry: KeyEntry { name: name.to_owned(), hash, scope: scope.map(str::to_owned), role, revoked: false } })
}

/// Keys are listed and taken back by their names. Those of before keep theirs, and any scope can be had again.
fn check_name(name: &str) -> Result<(), Error> {
    let rule = match invisible(name) {
        Some(character) => format!("must not have the invisible character U+{:04X}", u32::from(character)),
        None if name.trim() != name => "must not begin or end with white space".to_owned(),
        None if KeyName::new(name).is_none() => KeyName::rule(),
        None => return Ok(()),
    };
    Err(Error::Name(name.to_owned(), rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::limits;

    #[test]
    fn a_key_has_a_name_that_can_be_read_whole() {
        let longest = "ß".repeat(limits::NAME.characters);
        for name in ["shop", "Großhandel 2", &longest] {
            assert!(create(name, None, Role::Storefront).is_ok(), "{name}");
        }
        let longer = format!("{longest}x");
        for (name, rule) in [
            ("", "must be 1 to"),
            (&longer, "must be 1 to"),
            ("a\nb", "printable"),
            ("a\u{7f}b", "printable"),
            (" ", "white space"),
            ("shop ", "white space"),
            ("\tshop", "white space"),
            ("sh\u{200b}op", "U+200B"),
        ] {
            let refusal = create(name, None, Role::Storefront).err().unwrap().to_string();
            assert!(refusal.contains(rule) && refusal.contains(&format!("{name:?}")), "{refusal}");
        }
    }

    #[test]
    fn what_a_client_placed_is_of_the_scope_of_its_keys_or_of_its_name_once_they_are_revoked() {
        let key = |name, scope| parse(&create(name, scope, Role::Storefront).unwrap().entry).unwrap();
        let known = vec![key("shop", None), key("shop-2027", Some("shop")), key("kiosk", Some("north"))];
        let taken_back = Known { revoked: true, ..key("shop-2026", Some("shop")) };
        let keys = ApiKeys::of([known, vec![taken_back]].concat());
        for (client, scope, is) in [
            ("shop", "shop", true),
            ("shop-2027", "shop", true),
            ("kiosk", "north", true),
            ("revoked", "revoked", true),
            ("shop-2027", "shop-2027", false),
            ("kiosk", "kiosk", false),
            ("shop", "north", false),
            ("revoked", "shop", false),
            ("shop-2026", "shop", true),
            ("shop-2026", "shop-2026", false),
        ] {
            assert_eq!(keys.is_of_scope(client, scope), is, "{client} {scope}");
        }
    }

    #[test]
    fn a_key_may_have_the_scope_of_any_key_of_before() {
        for scope in ["", "a\nb", " "] {
            assert_eq!(create("shop", Some(scope), Role::Storefront).unwrap().entry.scope.as_deref(), Some(scope));
        }
    }
}

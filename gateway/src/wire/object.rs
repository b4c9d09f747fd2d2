//! Structs that are read from JSON objects alone.
//!
//! What serde derives for a struct reads an array too, its members by their place: a caller who mixes two up would be
//! understood wrongly without a word. Invariant: a type in `read_from_objects!` is read from an object, each of its members by
//! its name and once. The derived code must be `#[serde(remote = "Self")]`, which makes it a function of the type instead of
//! its `Deserialize`.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A type with the code that serde derived for it.
pub trait Object<'de>: Sized {
    /// # Errors
    /// As of what serde derives.
    fn of_members<M: MapAccess<'de>>(members: MapAccessDeserializer<M>) -> Result<Self, M::Error>;
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Object<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    #[inline]
    fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<T, M::Error> {
        T::of_members(MapAccessDeserializer::new(members))
    }
}

/// # Errors
/// If there is no object, or not one of this type.
#[inline]
pub fn read<'de, T: Object<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Members(PhantomData))
}

struct EachOnce<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EachOnce<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        let mut read = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            if read.contains_key(&name) {
                // As its value, so that the place of the mistake is this name.
                members.next_value_seed(Twice(&name))?;
            }
            let value = members.next_value()?;
            read.insert(name, value);
        }
        Ok(read)
    }
}

struct Twice<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Twice<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(D::Error::custom(format_args!("{} is there twice", self.0)))
    }
}

/// An object whose names are the caller's. Of two values of a name one would be dropped without a word.
///
/// # Errors
/// If there is no object, a value is none of its type, or a name is there twice.
pub fn each_once<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error> {
    deserializer.deserialize_map(EachOnce(PhantomData))
}

macro_rules! read_from_objects {
    ($($name:ident)+) => {$(
        impl<'de> $crate::wire::object::Object<'de> for $name {
            #[inline]
            fn of_members<M: serde::de::MapAccess<'de>>(
                members: serde::de::value::MapAccessDeserializer<M>,
            ) -> Result<Self, M::Error> {
                // The function that `remote = "Self"` made, not the trait's.
                $name::deserialize(members)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            #[inline]
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::object::read(deserializer)
            }
        }
    )+};
}

pub(crate) use read_from_objects;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(remote = "Self", deny_unknown_fields)]
    struct Pair {
        one: u8,
        other: Option<Box<Pair>>,
    }

    read_from_objects! { Pair }

    fn read(text: &str) -> Option<Pair> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn an_object_is_read_by_its_names_and_an_array_is_none() {
        let inner = Pair { one: 2, other: None };
        assert_eq!(read(r#"{"other":{"one":2},"one":1}"#), Some(Pair { one: 1, other: Some(Box::new(inner)) }));
        for wrong in
            ["[1,null]", r#"{"one":1,"other":[2,null]}"#, "[]", "1", "null", r#"{"one":1,"one":1}"#, r#"{"one":1,"x":1}"#]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_of_the_callers_choice_are_there_once_too() {
        let read = |text: &str| super::each_once::<u8, _>(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(read(r#"{"one":1,"two":2}"#).unwrap().len(), 2);
        assert!(read(r#"{"one":1,"two":2,"one":3}"#).unwrap_err().to_string().starts_with("one is there twice"));
        assert!(read("[1]").is_err());
    }
}

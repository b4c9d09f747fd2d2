//! Values of settings that are more than a number or a text.
//!
//! Invariant: each is written in the file as in the environment.

use serde::{Deserialize, Serialize};

/// Hosts, or addresses: one text with commas between them, as in the environment, or a list.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
#[serde(into = "String")]
pub struct CommaList(pub Vec<String>);

impl<'de> Deserialize<'de> for CommaList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> serde::de::Visitor<'de> for Reading {
            type Value = CommaList;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("names with commas between them, or a list of names")
            }
            fn visit_str<E>(self, text: &str) -> Result<CommaList, E> {
                Ok(text.to_owned().into())
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<CommaList, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(CommaList(names))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

impl From<String> for CommaList {
    fn from(text: String) -> Self {
        Self(text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
    }
}

impl From<CommaList> for String {
    fn from(CommaList(names): CommaList) -> Self {
        names.join(",")
    }
}

/// On, off, or as other things have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    #[default]
    Auto,
    On,
    Off,
}

impl Serialize for Switch {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Switch::Auto => serializer.serialize_str("auto"),
            Switch::On => serializer.serialize_bool(true),
            Switch::Off => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl serde::de::Visitor<'_> for Reading {
            type Value = Switch;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"auto\"")
            }
            fn visit_bool<E>(self, on: bool) -> Result<Switch, E> {
                Ok(if on { Switch::On } else { Switch::Off })
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Switch, E> {
                if text == "auto" { Ok(Switch::Auto) } else { Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)) }
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

//! A list that has its item in place where it has one, and puts more of them behind a pointer.
//!
//! Most SKUs are at one location and most holds take from one: a list of its own for each would be a block of memory for each.
//! Invariant: what is behind the pointer is not one item. Written as any list.

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};
use std::slice;

#[derive(Clone)]
pub struct Few<T>(Items<T>);

#[derive(Clone)]
enum Items<T> {
    One(T),
    Many(Box<[T]>),
}

impl<T> Few<T> {
    pub fn as_slice(&self) -> &[T] {
        match &self.0 {
            Items::One(item) => slice::from_ref(item),
            Items::Many(items) => items,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        match &mut self.0 {
            Items::One(item) => slice::from_mut(item),
            Items::Many(items) => items,
        }
    }

    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.as_slice().iter()
    }

    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Cost: all of the list is moved.
    pub(super) fn insert(&mut self, index: usize, item: T) {
        self.edit(|items| items.insert(index, item));
    }

    /// Cost: all of the list is moved.
    pub(super) fn remove(&mut self, index: usize) -> T {
        self.edit(|items| items.remove(index))
    }

    fn edit<R>(&mut self, edit: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut items = match std::mem::take(self).0 {
            Items::One(item) => vec![item],
            Items::Many(items) => items.into_vec(),
        };
        let edited = edit(&mut items);
        *self = items.into();
        edited
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Items::Many(Box::default()))
    }
}

impl<T> Index<usize> for Few<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.as_slice()[index]
    }
}

impl<T> IndexMut<usize> for Few<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.as_mut_slice()[index]
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut items: Vec<T>) -> Self {
        match items.pop() {
            Some(item) if items.is_empty() => Self(Items::One(item)),
            Some(last) => {
                items.push(last);
                Self(Items::Many(items.into()))
            }
            None => Self::default(),
        }
    }
}

impl<T: Clone> From<&[T]> for Few<T> {
    fn from(items: &[T]) -> Self {
        match items {
            [item] => Self(Items::One(item.clone())),
            items => Self(Items::Many(items.into())),
        }
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Reads a list, one item without a block of memory.
struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Few<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
        let Some(first) = list.next_element()? else { return Ok(Few::default()) };
        let Some(second) = list.next_element()? else { return Ok(Few(Items::One(first))) };
        let mut items = vec![first, second];
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn few_items_are_edited_written_and_read_as_any_list(edits in prop::collection::vec((any::<bool>(), 0..4_usize), 0..20)) {
            let (mut few, mut list) = (Few::default(), Vec::new());
            for (number, (more, index)) in (0..).zip(edits) {
                if more {
                    few.insert(index.min(list.len()), number);
                    list.insert(index.min(list.len()), number);
                } else if index < list.len() {
                    prop_assert_eq!(few.remove(index), list.remove(index));
                }
                prop_assert_eq!(few.as_slice(), list.as_slice());
                prop_assert_eq!(matches!(few.0, Items::One(_)), list.len() == 1);
                let bytes = postcard::to_allocvec(&few).unwrap();
                prop_assert_eq!(&bytes, &postcard::to_allocvec(&list).unwrap());
                prop_assert_eq!(&postcard::from_bytes::<Few<u32>>(&bytes).unwrap(), &few);
                prop_assert_eq!(Few::from(list.as_slice()), few.clone());
            }
        }
    }
}

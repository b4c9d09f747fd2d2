//! The settings file: each key with its value and its line.
//!
//! Invariant: a key that cannot be used is left out and named; the others are taken, so that all mistakes are found at once.

use super::mistakes::Mistake;
use super::{Assignment, probe};
use serde::Deserialize;
use std::path::Path;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Value};

/// What the file gives, and what is wrong with the rest.
pub(super) fn read(path: &Path) -> (Vec<Assignment>, Vec<Mistake>) {
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(reason) => return (Vec::new(), vec![Mistake::new(Some(&shown), "", format!("cannot be read: {reason}"))]),
    };
    let reading = Reading { shown, text: &text };
    let (table, errors) = DeTable::parse_recoverable(&text);
    if errors.is_empty() {
        return reading.all(table.get_ref());
    }
    // What stands around a syntax error may have been read as something else: nothing is said about it.
    let broken = |error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        Mistake::new(Some(&reading.origin(at)), "", error.message())
    };
    (Vec::new(), errors.into_iter().map(broken).collect())
}

struct Reading<'t> {
    shown: String,
    text: &'t str,
}

impl<'t> Reading<'t> {
    fn origin(&self, offset: usize) -> String {
        let line = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        format!("{}:{line}", self.shown)
    }

    fn all(&self, table: &DeTable<'t>) -> (Vec<Assignment>, Vec<Mistake>) {
        let (mut given, mut mistakes) = (Vec::new(), Vec::new());
        let mut leaves = Vec::new();
        collect(&mut Vec::new(), table, &mut leaves);
        for (path, offset, value) in leaves {
            match self.take(path, offset, value) {
                Ok(one) => given.push(one),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        (given, mistakes)
    }

    fn take(&self, path: Vec<String>, offset: usize, value: &Spanned<DeValue<'t>>) -> Result<Assignment, Mistake> {
        let (key, refused) = (path.join("."), |at, message| Mistake::new(Some(&self.origin(at)), &path.join("."), message));
        let plain = plain(value).map_err(|message| refused(offset, message))?;
        if let Err(message) = probe(&path, plain.clone()) {
            let at = self.wrong_element(&path, value).unwrap_or(offset);
            return Err(refused(at, message));
        }
        Ok(Assignment { origin: self.origin(offset), key, path, value: plain })
    }

    /// Where the first element of a list begins that cannot be used.
    fn wrong_element(&self, path: &[String], value: &Spanned<DeValue<'t>>) -> Option<usize> {
        let elements = value.get_ref().as_array()?;
        let wrong = |element: &&Spanned<DeValue<'t>>| {
            plain(element).and_then(|element| probe(path, Value::Array(vec![element]))).is_err()
        };
        elements.iter().find(wrong).map(|element| element.span().start)
    }
}

type Leaf<'a, 't> = (Vec<String>, usize, &'a Spanned<DeValue<'t>>);

/// Every key that is no section, dotted and inline ones included.
fn collect<'a, 't>(path: &mut Vec<String>, table: &'a DeTable<'t>, leaves: &mut Vec<Leaf<'a, 't>>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(section) if !section.is_empty() => collect(path, section, leaves),
            _ => leaves.push((path.clone(), key.span().start, value)),
        }
        path.pop();
    }
}

fn plain(value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
    Value::deserialize(ValueDeserializer::from(value.clone())).map_err(|error| error.message().to_owned())
}

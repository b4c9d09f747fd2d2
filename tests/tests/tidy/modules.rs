//! Circles of modules: at each level of a crate, siblings and all that is below them import each other one way.
//!
//! A folder's own file may use its children and they it: together they are one module to those outside.

use super::Finding;
use super::imports::{CRATES, Named, paths};
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

type Module = Vec<String>;

/// Modules of one crate.
struct Crate<'a> {
    files: BTreeMap<Module, (&'a Source, Vec<Named>)>,
}

/// Why one sibling depends on another: where it says so first.
type Edges = BTreeMap<(String, String), String>;

pub(crate) fn circles(tree: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (folder, _) in CRATES {
        for (level, edges) in Crate::of(folder, tree).levels() {
            let place = [&[folder.to_owned()], level.as_slice()].concat().join("/");
            found.extend(rings(&edges).into_iter().map(|ring| finding(&place, &ring, &edges)));
        }
    }
    found
}

fn finding(place: &str, ring: &BTreeSet<String>, edges: &Edges) -> Finding {
    let names: Vec<&str> = ring.iter().map(String::as_str).collect();
    let key = place.to_owned();
    let inside = edges.iter().filter(|((from, to), _)| ring.contains(from) && ring.contains(to));
    let shown: Vec<String> = inside.map(|((from, to), at)| format!("    {at}: {from} uses {to}")).collect();
    let message = format!(
        "{place}: {} import each other in a circle: move what both need below them\n{}",
        names.join(" "),
        shown.join("\n")
    );
    Finding { key, message }
}

impl<'a> Crate<'a> {
    fn of(folder: &str, tree: &'a [Source]) -> Self {
        let inside = format!("{folder}/src/");
        let mut files = BTreeMap::new();
        for source in tree.iter().filter(|source| !source.shipped.is_empty()) {
            let Some(path) = source.path.strip_prefix(&inside) else { continue };
            let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
                module.pop();
            }
            if module != ["main"] {
                files.insert(module, (source, paths(&source.shipped)));
            }
        }
        Self { files }
    }

    /// What depends on what among the children of each module.
    fn levels(&self) -> BTreeMap<Module, Edges> {
        let mut levels: BTreeMap<Module, Edges> = BTreeMap::new();
        for (module, (source, names)) in &self.files {
            for named in names {
                let Some(used) = self.resolve(module, named) else { continue };
                let same = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
                if same < module.len() && same < used.len() {
                    let edges = levels.entry(module[..same].to_vec()).or_default();
                    let at = format!("{}:{}", source.path, named.line);
                    edges.entry((module[same].clone(), used[same].clone())).or_insert(at);
                }
            }
        }
        levels
    }

    /// The module that a path leads to, through what is exported again on the way.
    fn resolve(&self, from: &Module, named: &Named) -> Option<Module> {
        let mut parts = named.parts.as_slice();
        let mut at = from.clone();
        match parts.first()?.as_str() {
            "crate" => at.clear(),
            "super" | "self" => at.extend(named.inline.iter().cloned()),
            // A child of the file's own module, or another crate.
            _ => return None,
        }
        while let Some(("super", rest)) = parts.split_first().map(|(first, rest)| (first.as_str(), rest)) {
            at.pop();
            parts = rest;
        }
        if matches!(parts.first().map(String::as_str), Some("crate" | "self")) {
            parts = &parts[1..];
        }
        Some(self.descend(at, parts, 8))
    }

    fn descend(&self, mut at: Module, parts: &[String], hops: usize) -> Module {
        let Some((first, rest)) = parts.split_first() else { return at };
        let mut child = at.clone();
        child.push(first.clone());
        if self.files.contains_key(&child) {
            return self.descend(child, rest, hops);
        }
        let Some(export) = self.exports(&at, first).filter(|_| hops > 0) else { return at };
        let mut parts = export.parts.as_slice();
        if parts.first().is_some_and(|first| matches!(first.as_str(), "crate" | "self")) {
            if parts[0] == "crate" {
                at.clear();
            }
            parts = &parts[1..];
        }
        self.descend(at, parts, hops - 1)
    }

    fn exports(&self, module: &Module, name: &str) -> Option<&Named> {
        let (_, names) = self.files.get(module)?;
        names.iter().find(|named| named.exported.as_deref() == Some(name))
    }
}

/// Sets of modules each of which depends on all others of its set.
fn rings(edges: &Edges) -> Vec<BTreeSet<String>> {
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        reached.entry(from).or_default().insert(to);
    }
    while grow(&mut reached) {}
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
    let mut rings = BTreeSet::new();
    for module in reached.keys().filter(|module| reaches(module, module)) {
        let ring = reached.keys().filter(|other| reaches(module, other) && reaches(other, module));
        rings.insert(ring.map(|module| (*module).to_owned()).collect::<BTreeSet<String>>());
    }
    rings.into_iter().collect()
}

/// Adds what is reached through one more module. Tells whether anything is new.
fn grow(reached: &mut BTreeMap<&str, BTreeSet<&str>>) -> bool {
    let before: usize = reached.values().map(BTreeSet::len).sum();
    let step = reached.clone();
    for all in reached.values_mut() {
        let further: Vec<&str> = all.iter().filter_map(|next| step.get(next)).flatten().copied().collect();
        all.extend(further);
    }
    before < reached.values().map(BTreeSet::len).sum()
}

#[test]
fn a_ring_is_found_through_others_and_a_line_is_none() {
    let edges = |pairs: &[(&str, &str)]| -> Edges {
        pairs.iter().map(|(from, to)| (((*from).to_owned(), (*to).to_owned()), String::new())).collect()
    };
    let ring = rings(&edges(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]));
    assert_eq!(ring, [BTreeSet::from(["a", "b", "c"].map(str::to_owned))]);
    assert!(rings(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
}

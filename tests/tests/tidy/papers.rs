//! Paths that the papers name: in code marks from the root of the tree, in links from the paper.

use super::Finding;
use super::source::{files, relative, root};
use std::path::Path;

/// What looks like a path of the tree: its first part is a folder or file at the root. One that begins with a dot and a slash is
/// where the reader stands.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|text| {
        let first = text.split('/').next().unwrap_or_default();
        text.contains('/')
            && !text.starts_with("./")
            && !text.contains([' ', '*', '{', '<', '$'])
            && !first.is_empty()
            && root().join(first).exists()
    })
}

/// Targets of links that are files.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap_or_default());
    targets.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

/// A module is named with or without the end of its file.
fn exists(path: &Path) -> bool {
    path.exists() || path.with_extension("rs").exists()
}

pub(crate) fn missing() -> Vec<Finding> {
    let mut found = Vec::new();
    for paper in files(&root(), "md") {
        let (name, folder) = (relative(&paper), paper.parent().expect("a file is in a folder"));
        let text = std::fs::read_to_string(&paper).unwrap();
        // What a release once said about its files stays.
        if name == "CHANGELOG.md" {
            continue;
        }
        for (line, text) in text.lines().enumerate() {
            let gone = paths(text).filter(|path| !exists(&root().join(path.trim_end_matches('/'))));
            let gone = gone.chain(links(text).filter(|target| !folder.join(target).exists()));
            found.extend(
                gone.map(|path| Finding::new(&name, format!("{name}:{}: there is no {path}: name what is there", line + 1))),
            );
        }
    }
    found
}

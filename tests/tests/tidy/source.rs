//! The Rust files of the tree, each cut into tokens once.

use super::Finding;
use super::lexer::{At, Token, tokens};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const MAX_LINES: usize = 500;
/// Folders of the tree that hold no text of ours.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// A Rust file.
pub(crate) struct Source {
    /// From the root of the tree, with slashes.
    pub path: String,
    pub lines: usize,
    pub tokens: Vec<At>,
    /// Those that are compiled outside tests.
    pub shipped: Vec<At>,
}

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the tree").to_owned()
}

pub(crate) fn tree() -> &'static [Source] {
    static TREE: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let paths = files(&root(), "rs");
        assert!(paths.len() > 100, "the tree has {} Rust files", paths.len());
        paths.into_iter().map(read).collect()
    });
    &TREE
}

fn read(path: PathBuf) -> Source {
    let code = std::fs::read_to_string(&path).unwrap();
    let tokens = tokens(&code);
    let path = relative(&path);
    let test = path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "conformance" | "conformance.rs"));
    let shipped = if test { Vec::new() } else { without_tests(&tokens) };
    Source { path, lines: code.lines().count(), tokens, shipped }
}

pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// All files below `dir` whose names end so, in order.
pub(crate) fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|of| of == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Leaves out each item behind `#[cfg(test)]`.
fn without_tests(tokens: &[At]) -> Vec<At> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match attribute(&tokens[at..]) {
            Some(length) if of_tests(&tokens[at..at + length]) => at += length + item(&tokens[at + length..]),
            _ => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// Tokens of the attribute that begins here.
fn attribute(tokens: &[At]) -> Option<usize> {
    let opened = matches!(tokens, [hash, bracket, ..] if hash.token == Token::Sign('#') && bracket.token == Token::Sign('['));
    opened.then(|| 1 + closed(&tokens[1..]))
}

fn of_tests(attribute: &[At]) -> bool {
    let has = |word: &str| attribute.iter().any(|at| at.token == Token::Word(word.to_owned()));
    has("cfg") && has("test") && !has("not")
}

/// Tokens of the item that begins here: up to its semicolon or the end of its body.
fn item(tokens: &[At]) -> usize {
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].token {
            Token::Sign(';') => return at + 1,
            Token::Sign('{') => return at + closed(&tokens[at..]),
            Token::Sign('(' | '[') => at += closed(&tokens[at..]),
            _ => at += 1,
        }
    }
    at
}

/// Tokens from the bracket that begins here to the one that closes it.
fn closed(tokens: &[At]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

pub(crate) fn too_long(tree: &[Source]) -> Vec<Finding> {
    let long = tree.iter().filter(|source| source.lines > MAX_LINES);
    let finding = |source: &Source| {
        let Source { path, lines, .. } = source;
        Finding::new(path, format!("{path} has {lines} lines, the most are {MAX_LINES}: make two things of it"))
    };
    long.map(finding).collect()
}

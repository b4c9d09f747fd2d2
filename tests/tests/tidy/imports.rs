//! Paths that code names, and the one way that crates import each other.

use super::Finding;
use super::lexer::{At, Token};
use super::source::{Source, root};

/// Folder and library of each crate, from the bottom up: each may import those before it.
pub(crate) const CRATES: [(&str, &str); 4] = [
    ("engine", "holdfast_engine"),
    ("storage", "holdfast_storage"),
    ("actors", "holdfast_actors"),
    ("gateway", "holdfast_gateway"),
];

/// A path that begins with `crate`, `super`, `self` or a crate of ours.
#[derive(Debug)]
pub(crate) struct Named {
    pub line: usize,
    pub parts: Vec<String>,
    /// The module of the file it stands in, where that is written inside braces.
    pub inline: Vec<String>,
    /// What a `pub use` makes of it.
    pub exported: Option<String>,
}

/// All paths that `tokens` name, those of `use` with their groups written out.
pub(crate) fn paths(tokens: &[At]) -> Vec<Named> {
    let tokens: Vec<&At> = tokens.iter().filter(|at| !matches!(at.token, Token::Comment(_))).collect();
    let (mut found, mut inline, mut at) = (Vec::new(), Vec::<Option<String>>::new(), 0);
    while at < tokens.len() {
        let inside: Vec<String> = inline.iter().flatten().cloned().collect();
        match (&tokens[at].token, word(&tokens, at)) {
            (Token::Sign('{'), _) => inline.push(opened(&tokens, at)),
            (Token::Sign('}'), _) => drop(inline.pop()),
            (_, Some("use")) => {
                let before = at.checked_sub(1).map(|before| &tokens[before].token);
                let public = before.is_some_and(|token| *token == Token::Word("pub".to_owned()) || *token == Token::Sign(')'));
                let mut end = at + 1;
                group(&tokens, &mut end, &[], &mut |line, parts, name| {
                    let exported = public.then_some(name);
                    found.push(Named { line, parts, inline: inside.clone(), exported });
                });
                at = end;
            }
            (_, Some(first)) if anchor(first) && !follows_path(&tokens, at) => {
                let (line, mut parts) = (tokens[at].line, vec![first.to_owned()]);
                while tokens.get(at + 1).is_some_and(|at| at.token == Token::Path) && word(&tokens, at + 2).is_some() {
                    parts.extend(word(&tokens, at + 2).map(str::to_owned));
                    at += 2;
                }
                if parts.len() > 1 {
                    found.push(Named { line, parts, inline: inside, exported: None });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn word<'a>(tokens: &[&'a At], at: usize) -> Option<&'a str> {
    match &tokens.get(at)?.token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn anchor(first: &str) -> bool {
    matches!(first, "crate" | "super" | "self") || CRATES.iter().any(|(_, library)| *library == first)
}

fn follows_path(tokens: &[&At], at: usize) -> bool {
    at > 0 && tokens[at - 1].token == Token::Path
}

/// The name of the module whose brace this is.
fn opened(tokens: &[&At], at: usize) -> Option<String> {
    let module = at > 1 && word(tokens, at - 2) == Some("mod");
    module.then(|| word(tokens, at - 1).map(str::to_owned)).flatten()
}

/// Reads one tree of a `use`, from `at` to behind it; calls `each` with line, path and the name it has afterwards.
fn group(tokens: &[&At], at: &mut usize, before: &[String], each: &mut dyn FnMut(usize, Vec<String>, String)) {
    let (mut parts, mut alias, line) = (before.to_vec(), None, tokens[*at].line);
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match &token.token {
            Token::Word(word) if word == "as" => {
                alias = tokens.get(*at).and_then(|_| self::word(tokens, *at)).map(str::to_owned);
                *at += 1;
            }
            Token::Word(word) => parts.push(word.clone()),
            Token::Sign('*') => parts.push("*".to_owned()),
            Token::Sign('{') => {
                while tokens.get(*at).is_some_and(|at| at.token != Token::Sign('}')) {
                    group(tokens, at, &parts, each);
                    *at += usize::from(tokens.get(*at).is_some_and(|at| at.token == Token::Sign(',')));
                }
                *at += 1;
                return;
            }
            Token::Path => {}
            _ => {
                *at -= 1;
                break;
            }
        }
    }
    let name = alias.or_else(|| parts.last().cloned()).unwrap_or_default();
    each(line, parts, name);
}

/// Imports of a crate by one that stands below it, in code and in the manifests.
pub(crate) fn upwards(tree: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (height, (folder, library)) in CRATES.iter().enumerate() {
        let above: Vec<&str> = CRATES[height + 1..].iter().map(|(_, library)| *library).collect();
        for source in tree.iter().filter(|source| source.path.starts_with(&format!("{folder}/"))) {
            let up = paths(&source.tokens)
                .into_iter()
                .filter(|named| named.parts.first().is_some_and(|first| above.contains(&first.as_str())));
            found.extend(up.map(|named| {
                let (path, of) = (&source.path, &named.parts[0]);
                Finding::new(
                    path,
                    format!("{path}:{}: {library} imports {of}, which stands above it: move what both need down", named.line),
                )
            }));
        }
        found.extend(declared(folder, &above));
    }
    found.extend(declared("loadtest", &CRATES.map(|(_, library)| library)));
    found
}

/// Packages that the manifest of `folder` names and must not.
fn declared(folder: &str, above: &[&str]) -> Vec<Finding> {
    let path = format!("{folder}/Cargo.toml");
    let manifest = std::fs::read_to_string(root().join(&path)).unwrap();
    let mut found = Vec::new();
    for (line, text) in manifest.lines().enumerate().skip_while(|(_, text)| !text.contains("dependencies]")) {
        let name = text.split(['.', ' ', '=']).next().unwrap_or_default();
        // The library of the package `holdfast` is the gateway.
        let library = if name == "holdfast" { "holdfast_gateway".to_owned() } else { name.replace('-', "_") };
        if above.contains(&library.as_str()) {
            found.push(Finding::new(&path, format!("{path}:{}: {folder} depends on {name}, which stands above it", line + 1)));
        }
    }
    found
}

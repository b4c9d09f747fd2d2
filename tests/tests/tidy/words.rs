//! Words that were this code's own and what the field calls the thing. The old word does not come back.

use super::Finding;
use super::lexer::Token;
use super::source::Source;

/// How a word is found.
#[derive(Clone, Copy)]
enum As {
    /// A whole name of code, such as `Letter`.
    Name,
    /// A part of a name of code, such as `told` in `told_at` and `Told`. Names of more than three parts are sentences, as tests have
    /// them, and may use the word as everybody does.
    Part,
}
use As::{Name, Part};

/// Old word, what to say instead, and the crates it is banned in.
type Banned = (&'static str, As, &'static str, &'static [&'static str]);

const ENGINE: &[&str] = &["engine"];
const STORAGE: &[&str] = &["storage"];
const ACTORS: &[&str] = &["actors"];
const ALL: &[&str] = &["engine", "storage", "actors", "gateway"];

const BANNED: &[Banned] = &[
    ("told", Part, "notified, pending, committed, delivered or an Outcome, whichever it is", ALL),
    ("Letter", Name, "ShardMessage", ALL),
    ("letters", Name, "dead_letters", STORAGE),
    ("Lane", Name, "TopicPartition", ALL),
    ("lane", Part, "topic partition", STORAGE),
    ("Want", Name, "HoldIntent", ENGINE),
    ("wanted_of", Name, "HoldIntent", ENGINE),
    ("Round", Name, "SagaStep", ENGINE),
    ("Target", Name, "Participant", ENGINE),
    ("news", Name, "accept_reply", ENGINE),
    ("Ask", Name, "HoldProbe", ENGINE),
    ("ask_at", Name, "probe_at", ENGINE),
    ("arm_ask", Name, "a name with probe", ENGINE),
    ("Demand", Name, "ReserveRequest", ENGINE),
    ("Verdict", Name, "ReserveDecision", ENGINE),
    ("OpVerdict", Name, "a Decision", ENGINE),
    ("AdjustmentRefusal", Name, "Rejection", ENGINE),
    ("StockRefusal", Name, "Rejection", ENGINE),
    ("take_back", Name, "disarm", ENGINE),
    ("hand_out", Name, "flush", ALL),
    ("hand_on", Name, "flush", ALL),
    ("take_up", Name, "resume", ALL),
    ("steer", Name, "command_order", ENGINE),
    ("two_facts", Name, "the names of both facts", ENGINE),
    ("Desk", Name, "ProviderDispatcher", ALL),
    ("Keeper", Name, "SnapshotWriter", ACTORS),
    ("Taken", Name, "PendingSnapshot", ACTORS),
    ("Question", Name, "LookupRequest", ALL),
    ("Cashier", Name, "PaymentResultHandler", ALL),
    ("Books", Name, "GroupContext", ALL),
    ("Quiet", Name, "SilentContext", STORAGE),
    ("Carried", Name, "TopicRecord", ALL),
    ("Courtesy", Name, "CpuBackoff", ALL),
    ("owed", Part, "CPU backoff", STORAGE),
    ("Port", Name, "ReplyQueue", ACTORS),
    ("patience", Part, "timeout", ALL),
    ("Kept", Name, "a checkpoint, a stored response or the first retained", ALL),
    ("KeptAnswer", Name, "StoredResponse", ALL),
    ("keep_durable", Name, "checkpoint", ALL),
    ("steady", Name, "logical time", ENGINE),
    ("MAX_LULL_MS", Name, "MAX_TIME_STEP_MS", ALL),
    ("beyond", Name, "saturating_sub", ENGINE),
    ("checked_move", Name, "checked_add_signed", ENGINE),
    ("far", Name, "remote", ACTORS),
];

/// Names that users write: they stay.
const WRITTEN: [&str; 2] = ["stream_patience_seconds", "server.stream_patience_seconds"];

/// Parts of a name: of `told_at` and `ToldAt` they are `told` and `at`.
fn parts(name: &str) -> Vec<String> {
    let (mut parts, mut upper) = (vec![String::new()], false);
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() && !upper {
            parts.push(String::new());
        }
        upper = letter.is_uppercase();
        if let Some(part) = parts.last_mut().filter(|_| letter != '_') {
            part.extend(letter.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn is(name: &str, (word, how, ..): &Banned) -> bool {
    match how {
        Name => name == *word,
        Part => {
            let parts = parts(name);
            parts.len() <= 3 && !WRITTEN.contains(&name) && parts.iter().any(|part| part == word)
        }
    }
}

/// `type Target` of a `Deref`: nobody could say it otherwise.
fn given_by_the_language(before: Option<&Token>, token: &Token) -> bool {
    let is = |token: &Token, word: &str| matches!(token, Token::Word(name) if name == word);
    before.is_some_and(|before| is(before, "type")) && is(token, "Target")
}

pub(crate) fn banned(tree: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in tree {
        let room = source.path.split('/').next().unwrap_or_default();
        let banned: Vec<&Banned> = BANNED.iter().filter(|(.., crates)| crates.contains(&room)).collect();
        for (before, at) in [None].into_iter().chain(source.tokens.iter().map(Some)).zip(&source.tokens) {
            if given_by_the_language(before.map(|before| &before.token), &at.token) {
                continue;
            }
            let names: Vec<&str> = match &at.token {
                Token::Word(name) => vec![name],
                // Names of code stand between backticks there.
                Token::Comment(text) => text.split('`').skip(1).step_by(2).collect(),
                Token::Path | Token::Sign(_) | Token::Text(_) => continue,
            };
            for (name, banned) in names.iter().flat_map(|name| banned.iter().map(move |banned| (name, banned))) {
                if is(name, banned) {
                    let (path, (word, _, instead, _)) = (&source.path, banned);
                    let key = format!("{room} {word}");
                    found.push(Finding::new(key, format!("{path}:{}: {name}: say {instead}", at.line)));
                }
            }
        }
    }
    found
}

#[test]
fn names_are_taken_apart_as_they_are_read() {
    for (name, expected) in [("told_at", &["told", "at"][..]), ("ToldAt", &["told", "at"]), ("MAX_LULL", &["max", "lull"])] {
        assert_eq!(parts(name), expected, "{name}");
    }
}

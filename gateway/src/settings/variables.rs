//! Settings from the environment: `HOLDFAST__SECTION__KEY`.
//!
//! Invariant: a variable of this form that means nothing is refused by name. Others that begin like ours are left alone, as
//! systems make them for their own ends (`HOLDFAST_PORT` for a service of that name), but named.

use super::mistakes::Mistake;
use super::{Assignment, probe};
use toml::{Table, Value};

const PREFIX: &str = "HOLDFAST__";

/// Variables with one underscore that somebody reads: the command line, tests and tools of the project.
const KNOWN: [&str; 10] = [
    "HOLDFAST_CONFIG",
    "HOLDFAST_ADD_GOLDEN",
    "HOLDFAST_ARGS",
    "HOLDFAST_IMPORT_ROWS",
    "HOLDFAST_JARS",
    "HOLDFAST_KEY",
    "HOLDFAST_MALFORMED",
    "HOLDFAST_REQUIRE_SERVERS",
    "HOLDFAST_SERVERS",
    "HOLDFAST_SERVERS_PATIENCE",
];

/// The environment of the process. What is not UTF-8 is shown as far as it can be.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let shown = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (shown(name), shown(value)))
}

/// Names of variables that look as if they were meant for us and are not.
pub fn strays(names: impl Iterator<Item = String>) -> Vec<String> {
    let ours = |name: &str| name.starts_with(PREFIX) || KNOWN.contains(&name);
    let mut strays: Vec<String> =
        names.filter(|name| name.to_ascii_uppercase().starts_with("HOLDFAST_") && !ours(name)).collect();
    strays.sort_unstable();
    strays
}

/// What the variables give, and what is wrong with the rest.
pub(super) fn read(variables: impl Iterator<Item = (String, String)>) -> (Vec<Assignment>, Vec<Mistake>) {
    let mut named: Vec<(String, String)> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    named.sort_unstable();
    let (mut given, mut mistakes) = (Vec::new(), Vec::new());
    for (name, text) in named {
        match take(&name, &text) {
            Ok(one) => given.push(one),
            Err((key, message)) => mistakes.push(Mistake::new(Some(&name), &key, message)),
        }
    }
    (given, mistakes)
}

/// The text is taken as TOML where it is that, else as a string.
fn take(name: &str, text: &str) -> Result<Assignment, (String, String)> {
    let path: Vec<String> = name[PREFIX.len()..].to_ascii_lowercase().split("__").map(str::to_owned).collect();
    let key = path.join(".");
    if path.len() < 2 {
        return Err((
            String::new(),
            "names no key: variables are HOLDFAST__SECTION__KEY, as HOLDFAST__SERVER__LISTEN".to_owned(),
        ));
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err((key, "is not UTF-8".to_owned()));
    }
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(text.to_owned()));
    match probe(&path, value.clone()) {
        Ok(()) => Ok(Assignment { origin: name.to_owned(), key, path, value }),
        Err(message) => Err((key, message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_mean_nothing_are_named_and_ours_are_not() {
        let names =
            ["HOLDFAST_PORT", "HOLDFAST_CONFIG", "HOLDFAST__ENGINE__SHARDS", "holdfast_service_host", "PATH", "HOLDFASTER"];
        assert_eq!(strays(names.iter().map(|name| (*name).to_owned())), ["HOLDFAST_PORT", "holdfast_service_host"]);
    }
}

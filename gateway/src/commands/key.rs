//! `holdfast key`: API keys, and the secret that webhooks are signed with.

use super::{Outcome, output, settings_of, table};
use crate::cli::{DataArgs, KeyCommand};
use crate::keys;
use crate::keys::file::Revoked;
use crate::keys::{KeyEntry, NewKey, Role};
use crate::providers::sandbox;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) fn run(what: KeyCommand, as_json: bool) -> Outcome {
    match what {
        KeyCommand::New { name, scope, role, data, print } => {
            new(keys::create(&name, scope.as_deref(), role)?, &data.into(), print, as_json)
        }
        KeyCommand::List { data } => list(&data.into(), as_json),
        KeyCommand::Revoke { name, hash, data } => revoke(&name, &hash, &data.into(), as_json),
        KeyCommand::RollWebhook { data, finish: false } => roll(&data.into(), as_json),
        KeyCommand::RollWebhook { data, finish: true } => finish_roll(&data.into(), as_json),
    }
}

/// A data directory that is there: of one that is not, nothing can be shown or taken back, and saying so as if it had no keys misleads.
fn existing(data: &DataArgs) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let dir = settings_of(data)?.data.dir;
    if dir.is_dir() { Ok(dir) } else { Err(format!("{} is no directory: name it with --data-dir", dir.display()).into()) }
}

fn new(key: NewKey, data: &DataArgs, only_print: bool, as_json: bool) -> Outcome {
    let stored =
        if only_print { None } else { Some(keys::file::store(&settings_of(data)?.data.dir, &key.entry)?.display().to_string()) };
    let shown = if as_json { machine_text(&key, stored) } else { text(&key, stored) };
    output::print(shown)?;
    Ok(ExitCode::SUCCESS)
}

fn machine_text(key: &NewKey, stored: Option<String>) -> String {
    let KeyEntry { name, hash, role, .. } = &key.entry;
    let scope = key.entry.scope();
    json!({"name": name, "key": key.secret, "hash": hash, "scope": scope, "role": role, "stored_in": stored}).to_string()
}

fn text(key: &NewKey, stored: Option<String>) -> String {
    let KeyEntry { name, hash, scope, role, .. } = &key.entry;
    let kept = match stored {
        Some(path) => format!("Its hash is in {path}; a running server takes it within two seconds."),
        None => {
            let scope = scope.as_ref().map_or_else(String::new, |scope| format!(", scope = {scope:?}"));
            let role = if *role == Role::default() { String::new() } else { format!(", role = {:?}", role.name()) };
            format!("Put this into [auth] keys:\n{{ name = {name:?}, hash = \"{hash}\"{scope}{role} }}")
        }
    };
    let scope = key.entry.scope();
    format!(
        "{}\n\nThis is shown once. Its role is {}. {kept}\n\nIdempotency keys sent with it are bound to the scope {scope:?}. A client that sent requests before, \
         without a key or with another one, retries them safely only under the scope that it had: --scope \"\" is what was placed \
         without API keys.",
        key.secret,
        role.name()
    )
}

fn list(data: &DataArgs, as_json: bool) -> Outcome {
    let mut keys = keys::file::read(&existing(data)?)?.unwrap_or_default();
    keys.retain(|key| !key.revoked);
    let row = |key: &KeyEntry| {
        let scope = key.scope();
        vec![
            key.name.clone(),
            key.role.name().to_owned(),
            format!("{scope:?}"),
            key.hash.get(..SHOWN).unwrap_or_default().to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    output::print(if as_json {
        json!(
            keys.iter()
                .map(|key| json!({"name": key.name, "role": key.role, "scope": key.scope(), "hash": key.hash}))
                .collect::<Vec<_>>()
        )
        .to_string()
    } else {
        table::lines(&["NAME", "ROLE", "SCOPE", "HASH"], &rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Digits of a hash that tell keys apart.
const SHOWN: usize = 12;

fn revoke(name: &str, hash: &str, data: &DataArgs, as_json: bool) -> Outcome {
    let Revoked { keys, left } = keys::file::revoke(&existing(data)?, name, hash)?;
    let revoked = keys.len();
    output::print(if as_json {
        json!({"name": name, "revoked": revoked, "left": left}).to_string()
    } else {
        format!("{revoked} revoked: a running server refuses it within two seconds.")
    })?;
    if left == 0 {
        tracing::warn!(
            "no key is left in {}: a running server lets nobody in but by [auth] keys of its settings, and the next start is refused, on \
             any address, until there is one again: make one with `holdfast key new`; if nobody shall need one any more, delete that file \
             and {} beside it",
            keys::FILE,
            keys::MARK
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn roll(data: &DataArgs, as_json: bool) -> Outcome {
    let path = sandbox::roll(&existing(data)?)?.display().to_string();
    output::print(if as_json {
        json!({"webhook_secret": path, "finished": false}).to_string()
    } else {
        format!(
            "{path} is new; webhooks signed with the one before it are taken too.\nStart the server again to use it. When nobody \
             signs with the old one any more: holdfast key roll-webhook --finish"
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn finish_roll(data: &DataArgs, as_json: bool) -> Outcome {
    let removed = sandbox::finish_roll(&existing(data)?)?;
    output::print(match (as_json, removed) {
        (true, removed) => json!({"finished": true, "removed": removed}).to_string(),
        (false, true) => "The old webhook secret is removed. Start the server again: it refuses it then.".to_owned(),
        (false, false) => "There was no old webhook secret.".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

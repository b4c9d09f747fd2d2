//! `holdfast key`: API keys, and the secret that webhooks are signed with.

use super::{Outcome, output, settings_of};
use crate::cli::{DataArgs, KeyCommand};
use crate::{keys, sandbox};
use serde_json::json;
use std::process::ExitCode;

pub(super) fn run(what: KeyCommand, as_json: bool) -> Outcome {
    match what {
        KeyCommand::New { name, data, print } => new(&name, &data, print, as_json),
        KeyCommand::RollWebhook { data, finish: false } => roll(&data, as_json),
        KeyCommand::RollWebhook { data, finish: true } => finish_roll(&data, as_json),
    }
}

fn new(name: &str, data: &DataArgs, only_print: bool, as_json: bool) -> Outcome {
    let key = keys::create(name)?;
    let stored = match only_print {
        true => None,
        false => Some(keys::store(&settings_of(data)?.data.dir, &key.entry)?.display().to_string()),
    };
    let hash = &key.entry.hash;
    let shown = match (as_json, stored) {
        (true, path) => json!({"name": name, "key": key.secret, "hash": hash, "stored_in": path}).to_string(),
        (false, Some(path)) => {
            format!("{}\n\nThis is shown once. Its hash is in {path}; start the server again to use it.", key.secret)
        }
        (false, None) => {
            format!("{}\n\nThis is shown once. Put this into [auth] keys:\n{{ name = {name:?}, hash = \"{hash}\" }}", key.secret)
        }
    };
    output::print(shown)?;
    Ok(ExitCode::SUCCESS)
}

fn roll(data: &DataArgs, as_json: bool) -> Outcome {
    let path = sandbox::roll(&settings_of(data)?.data.dir)?.display().to_string();
    output::print(match as_json {
        true => json!({"webhook_secret": path, "finished": false}).to_string(),
        false => format!(
            "{path} is new; webhooks signed with the one before it are taken too.\nStart the server again to use it. When nobody \
             signs with the old one any more: holdfast key roll-webhook --finish"
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn finish_roll(data: &DataArgs, as_json: bool) -> Outcome {
    let removed = sandbox::finish_roll(&settings_of(data)?.data.dir)?;
    output::print(match (as_json, removed) {
        (true, removed) => json!({"finished": true, "removed": removed}).to_string(),
        (false, true) => "The old webhook secret is removed. Start the server again: it refuses it then.".to_owned(),
        (false, false) => "There was no old webhook secret.".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

//! `holdfast config`: whether settings can be used, and where each came from.

use super::Outcome;
use crate::cli::ConfigCommand;
use crate::settings::{explain, load};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(super) fn run(what: ConfigCommand, as_json: bool) -> Outcome {
    match what {
        ConfigCommand::Check { config } => {
            load(config.as_deref(), std::env::vars())?;
            println!("{}", if as_json { json!({"ok": true}).to_string() } else { "the settings can be used".to_owned() });
        }
        ConfigCommand::Explain { config } => {
            let rows = explain(&load(config.as_deref(), std::env::vars())?);
            if as_json {
                let rows: Vec<Value> =
                    rows.iter().map(|(key, value, origin)| json!({"key": key, "value": value, "origin": origin})).collect();
                println!("{}", Value::Array(rows));
            } else {
                let (keys, values) = rows.iter().fold((0, 0), |(k, v), row| (k.max(row.0.len()), v.max(row.1.len())));
                rows.iter().for_each(|(key, value, origin)| println!("{key:keys$}  {value:values$}  {origin}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

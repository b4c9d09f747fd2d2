//! `holdfast config`: whether settings can be used, where each came from, and whether it is changed without a restart.

use super::{Outcome, output, table, warn_of_strays};
use crate::cli::{ConfigArgs, ConfigCommand};
use crate::settings::{Explained, Loaded, Mistakes, environment, explain, load_to_serve, load_tuned, warn_of_open_secrets};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(super) fn run(what: ConfigCommand, as_json: bool) -> Outcome {
    match what {
        ConfigCommand::Check(args) => check(&args, as_json),
        ConfigCommand::Explain(args) => show(&args, as_json),
    }
}

/// As `serve` takes it: where the data is says what operators changed.
fn apply(args: &ConfigArgs, loaded: &mut Loaded) {
    if let Some(dir) = &args.data_dir {
        loaded.settings.data.dir.clone_from(dir);
        loaded.from_argument("data.dir", "--data-dir");
    }
}

fn check(args: &ConfigArgs, as_json: bool) -> Outcome {
    warn_of_strays();
    match load_to_serve(args.config.as_deref(), environment(), |loaded| apply(args, loaded)) {
        Ok(loaded) => {
            warn_of_open_secrets(&loaded.settings);
            output::print(if as_json { json!({"ok": true}).to_string() } else { "the settings can be used".to_owned() })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            if as_json {
                output::verdict(false, json!({"ok": false, "mistakes": rows(&mistakes)}))?;
            }
            Err(mistakes.into())
        }
    }
}

fn rows(Mistakes(mistakes): &Mistakes) -> Vec<Value> {
    let row =
        |mistake: &crate::settings::Mistake| json!({"origin": mistake.origin, "key": mistake.key, "message": mistake.message});
    mistakes.iter().map(row).collect()
}

fn show(args: &ConfigArgs, as_json: bool) -> Outcome {
    let rows = explain(&load_tuned(args.config.as_deref(), environment(), |loaded| apply(args, loaded))?);
    if as_json {
        output::print(json!(rows))?;
    } else {
        let row = |Explained { key, value, change, origin }| vec![key, value.to_string(), change.to_owned(), origin];
        let rows: Vec<Vec<String>> = rows.into_iter().map(row).collect();
        output::print(table::lines(&["KEY", "VALUE", "CHANGE", "ORIGIN"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

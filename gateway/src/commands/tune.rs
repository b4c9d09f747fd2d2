//! `holdfast tune`: knobs of a running server ([`remote`]), and `tune probe`, which looks at cores, memory and disk, has the engine take orders on that disk, and writes the settings that follow, each
//! with its reason.
//!
//! Invariant: what it writes is a settings file that `holdfast config check` takes; where a default is right it says so and sets nothing.

mod asking;
mod following;
mod in_hand;
mod probe;
mod remote;

use super::{Outcome, output};
use crate::cli::TuneCommand;
use crate::settings::Settings;
use crate::settings::ranges::MOST_WORKERS;
use in_hand::{Taken, enough};
use probe::{Machine, Rate};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// A sync of a small write that takes longer makes small commits expensive.
const SLOW_SYNC_MICROS: u64 = 2_000;
/// One part of so many may be taken ahead of load.
const MEMORY_AHEAD_SHARE: u64 = 16;
const DEFAULT_MEMORY_AHEAD_MB: u64 = 1024;

/// # Errors
/// If the disk cannot be written, or the server is not there or refuses.
pub(super) fn run(what: &TuneCommand, as_json: bool) -> Outcome {
    match what {
        TuneCommand::Probe { data_dir } => probe(data_dir, as_json),
        TuneCommand::Show { all, server } => remote::show(server, *all, as_json),
        TuneCommand::Plan { changes, reset, server } => remote::plan(server, changes, reset, as_json),
        TuneCommand::Apply { what, note, no_wait, server } => {
            remote::apply(server, what, &remote::Applying { note: note.as_deref(), waits: !no_wait, as_json })
        }
        TuneCommand::History { limit, server } => remote::history(server, *limit, as_json),
    }
}

fn probe(data_dir: &Path, as_json: bool) -> Outcome {
    let mut machine = Machine::look(data_dir)?;
    machine.orders = in_hand::measure(&probe::nearest(data_dir), shards(machine.cores) as usize)?;
    output::print(if as_json {
        json!({"machine": machine, "settings": fragment(&machine)}).to_string()
    } else {
        fragment(&machine)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Text of a settings file.
fn fragment(machine: &Machine) -> String {
    let mut text = format!(
        "# For this machine: {} cores, {} MiB of memory for this process.\n# The disk of {}, writes that wait until they are on it:\n",
        machine.cores,
        machine.memory_mb,
        machine.dir.display()
    );
    for Rate { bytes, syncs_a_second, median_micros, worst_micros } in &machine.disk {
        let _ = writeln!(
            text,
            "#   {bytes:>8} bytes: {syncs_a_second:>6} a second, median {median_micros} µs, worst {worst_micros} µs"
        );
    }
    text.push_str("# The engine on it, each order and its confirmation answered when they are there:\n");
    for Taken { in_hand, orders_a_second } in &machine.orders {
        let _ = writeln!(text, "#   {in_hand:>8} in hand: {orders_a_second:>7} orders a second");
    }
    let sections = [engine(machine), server(machine)];
    sections.iter().for_each(|section| {
        let _ = write!(text, "\n{section}");
    });
    text
}

fn engine(machine: &Machine) -> String {
    let mut text = String::from("[engine]\n");
    let shards = shards(machine.cores);
    let _ = writeln!(
        text,
        "# Half the cores, and never more than partitions: the others parse and answer HTTP. More help only when load is\n# spread over many SKUs."
    );
    let _ = writeln!(text, "shards = {shards}");
    let ahead = (machine.memory_mb / MEMORY_AHEAD_SHARE).min(DEFAULT_MEMORY_AHEAD_MB);
    let _ = writeln!(text, "# A sixteenth of the memory, so that orders do not wait for the system to hand it out.");
    let _ = writeln!(text, "memory_ahead_mb = {ahead}");
    if machine.sync_micros() > SLOW_SYNC_MICROS {
        let _ = writeln!(
            text,
            "# A sync takes {} µs here. If the disk has a cache that survives a loss of power, let it answer from there: that is\n# worth more than any setting.",
            machine.sync_micros()
        );
    }
    text + &credits(&machine.orders, shards)
}

/// More in hand than gives more orders only wait; what the default has beyond that is for a rush. Credits are those of one shard.
fn credits(orders: &[Taken], shards: u64) -> String {
    let Some(Taken { in_hand, orders_a_second }) = enough(orders) else { return String::new() };
    let (needed, default) = (2 * in_hand.div_ceil(shards as usize), Settings::default().engine.credits);
    if needed <= default {
        return format!(
            "# engine.credits stays at its default, {default}: {in_hand} in hand at {shards} shards give {orders_a_second} orders a second and more give\n# about as many, so one client has enough with its half of them, and a rush finds room.\n"
        );
    }
    format!(
        "# {in_hand} have to be in hand at {shards} shards for {orders_a_second} orders a second; twice the part of one, as one client has half\n# of its credits.\ncredits = {needed}\n"
    )
}

fn shards(cores: u64) -> u64 {
    (cores / 2).clamp(1, Settings::default().data.partitions.into())
}

fn server(machine: &Machine) -> String {
    let workers = machine.cores.min(MOST_WORKERS as u64);
    format!(
        "[server]\n# One a core, which is the default too; named so that a change of the machine is a choice.\nworkers = {workers}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;
    use std::path::PathBuf;

    fn machine(cores: u64, memory_mb: u64, median_micros: u64) -> Machine {
        let rate = Rate { bytes: 4096, syncs_a_second: 1000, median_micros, worst_micros: 9000 };
        let orders = taken(&[(1024, 50_000), (65_536, 50_000)]);
        Machine { cores, memory_mb, dir: PathBuf::from("data"), disk: vec![rate], orders }
    }

    fn taken(rates: &[(usize, u64)]) -> Vec<Taken> {
        rates.iter().map(|(in_hand, rate)| Taken { in_hand: *in_hand, orders_a_second: *rate }).collect()
    }

    fn settings_of(machine: &Machine) -> settings::Settings {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("holdfast.toml");
        std::fs::write(&file, fragment(machine)).unwrap();
        settings::load(Some(&file), std::iter::empty()).unwrap().settings
    }

    #[test]
    fn what_is_written_is_a_settings_file_for_machines_of_any_size() {
        for (cores, memory_mb) in [(1, 256), (2, 4096), (64, 262_144), (2048, 1 << 21)] {
            let settings = settings_of(&machine(cores, memory_mb, 100));
            assert!((1..=cores).contains(&(settings.engine.shards as u64)));
            assert!(settings.engine.memory_ahead_mb <= memory_mb / 8);
        }
    }

    #[test]
    fn credits_are_twice_what_a_shard_has_to_have_in_hand_and_never_below_the_default() {
        let default = settings::Settings::default().engine.credits;
        let growing = &[(1024, 500), (16_384, 5_000), (65_536, 20_000)][..];
        for (cores, rates, credits, reason) in [
            (2, &[(1024, 50_000), (16_384, 51_000), (65_536, 49_000)][..], default, "1024 in hand at 1 shards give 50000"),
            (2, &[(1024, 5_000), (16_384, 50_000), (65_536, 51_000)], default, "16384 in hand at 1 shards give 50000"),
            (2, growing, 131_072, "65536 have to be in hand at 1 shards for 20000"),
            (4, growing, 65_536, "65536 have to be in hand at 2 shards for 20000"),
            (16, growing, default, "65536 in hand at 8 shards give 20000"),
        ] {
            let machine = Machine { orders: taken(rates), ..machine(cores, 4096, 8_000) };
            assert_eq!(settings_of(&machine).engine.credits, credits, "{rates:?}");
            assert!(fragment(&machine).contains(reason), "{}", fragment(&machine));
        }
    }
}

//! `holdfast export`: every event as a line of JSON.

use super::Outcome;
use crate::cli::DataArgs;
use crate::events::{Cursor, read};
use std::io::{BufWriter, Write};
use std::process::ExitCode;

/// Events read at once.
const PAGE: usize = 4096;

pub(super) fn run(data: &DataArgs) -> Outcome {
    let journal = super::observe(data)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut after = Cursor::default();
    loop {
        let events = read(&*journal, &after, PAGE)?;
        let Some(last) = events.last() else { break };
        after = last.cursor.clone();
        for event in &events {
            if writeln!(out, "{}", event.cloud_event()).is_err() {
                // Whoever reads has had enough, as `head` does.
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

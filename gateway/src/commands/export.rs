//! `holdfast export`: every event as a line of JSON.

use super::Outcome;
use super::output::Output;
use crate::cli::DataArgs;
use crate::events::{Cursor, read};
use std::process::ExitCode;

/// Events read at once.
const PAGE: usize = 4096;

pub(super) fn run(data: &DataArgs) -> Outcome {
    let journal = super::observe(data)?;
    let mut out = Output::open();
    let mut after = Cursor::default();
    loop {
        let events = read(&*journal, &after, PAGE)?;
        let Some(last) = events.last() else { break };
        after = last.cursor.clone();
        for event in &events {
            out.line(event.cloud_event())?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

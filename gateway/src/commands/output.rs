//! What commands print: the only way to standard output.
//!
//! Invariant: whoever has read enough, as `head` has, ends a command quietly; any other failure to write is an error.

use super::Outcome;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nobody reads standard output any more")]
    Closed,
    #[error("standard output: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Error::Closed } else { Error::Failed(error) }
    }
}

/// Whether a command failed only because nobody reads on.
pub fn is_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(Error::Closed))
}

/// Lines that may be many.
pub(super) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(super) fn open() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Error> {
        Ok(writeln!(self.0, "{line}")?)
    }

    /// Must be called at the end: what is left is dropped otherwise, and so is the failure to write it.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.0.flush()?)
    }
}

/// Prints all there is, and ends the last line if it does not end itself.
pub(super) fn print(text: impl Display) -> Result<(), Error> {
    let text = text.to_string();
    let mut out = Output::open();
    out.line(text.strip_suffix('\n').unwrap_or(&text))?;
    out.flush()
}

/// Prints what a check found. That it found something wrong is its exit status, also when nobody reads what.
pub(super) fn verdict(good: bool, text: impl Display) -> Outcome {
    let printed = print(text);
    if !good {
        return Ok(ExitCode::FAILURE);
    }
    printed?;
    Ok(ExitCode::SUCCESS)
}

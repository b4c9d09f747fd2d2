//! The lines of a body that comes in pieces, and the row in each.
//!
//! Invariant: a line counts once it is whole, the last one also without its end; a broken connection ends no line.

use super::keys::RowKeys;
use crate::http::problem::{Code, Problem};
use crate::http::request::{Checker, ImportRow};
use crate::wire::figures::kib;
use actix_web::web::{Bytes, BytesMut};
use holdfast_engine::command::Command;
use holdfast_engine::ids::{Fingerprint, Location, Sku};
use holdfast_engine::limits::MAX_IMPORT_LINE_BYTES;
use holdfast_engine::quantity::Quantity;

/// Why a row is not taken.
pub(super) struct Refusal {
    pub line: u64,
    pub code: Code,
    pub detail: String,
}

impl Refusal {
    pub(super) fn new(line: u64, problem: Problem) -> Self {
        Self { line, code: problem.code, detail: problem.detail }
    }
}

#[derive(Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    line: u64,
    pub ended: bool,
    /// It ended because the connection broke: what came whole counts, a half line does not.
    pub broken: bool,
    /// It ended because it stayed away too long, or the server stops: likewise, and the caller hears of it.
    late: Option<Code>,
}

impl Lines {
    pub(super) fn take(&mut self, chunk: Option<Result<Bytes, Problem>>) {
        match chunk {
            Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
            Some(Err(Problem { code: code @ (Code::RequestTimeout | Code::ShuttingDown), .. })) => {
                (self.ended, self.late) = (true, Some(code));
            }
            Some(Err(_)) => self.break_off(),
            None => {
                self.ended = true;
                self.buffer.extend_from_slice(b"\n");
            }
        }
    }

    pub(super) fn break_off(&mut self) {
        (self.ended, self.broken) = (true, true);
    }

    /// The server stops: what has not come is not waited for.
    pub(super) fn leave(&mut self) {
        if !self.ended {
            (self.ended, self.late) = (true, Some(Code::ShuttingDown));
        }
    }

    /// The next line that is not blank, with its number. Blank lines are counted.
    pub(super) fn next(&mut self) -> Option<(u64, Bytes)> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
            let row = self.buffer.split_to(end + 1).freeze();
            self.line += 1;
            if !row.iter().all(u8::is_ascii_whitespace) {
                return Some((self.line, row));
            }
        }
    }

    /// Why the rest is not read, if so: a line that does not end, or a body that does not come.
    pub(super) fn given_up(&mut self) -> Option<Refusal> {
        let line = self.line + 1;
        if let Some(code) = self.late.take() {
            let detail = "the rest has not come and is not read: rows before this line are done, send the others again";
            return Some(Refusal::new(line, Problem::new(code, detail)));
        }
        let overlong = self.buffer.len() > MAX_IMPORT_LINE_BYTES;
        self.ended |= overlong;
        overlong.then(|| {
            let detail = format!("a line is over {}: the rest is not read", kib(MAX_IMPORT_LINE_BYTES));
            Refusal::new(line, Problem::over(Code::TooLarge, "import_line_bytes", detail))
        })
    }
}

/// A count of one SKU at one location, as a row of the body says it.
pub(super) struct Row {
    pub line: u64,
    /// What it is a count of.
    pub key: (Sku, Location),
    on_hand: Quantity,
    safety_stock: Option<Quantity>,
}

impl Row {
    pub(super) fn parse(line: u64, text: &[u8]) -> Result<Self, Refusal> {
        read(line, text).map_err(|problem| Refusal::new(line, problem))
    }

    pub(super) fn command(&self, keys: &RowKeys) -> Command {
        let (sku, location) = self.key.clone();
        let Self { on_hand, safety_stock, .. } = *self;
        let meant = Fingerprint::of(&(&sku, &location, on_hand, safety_stock));
        let command = Command::SetStock { sku, location, on_hand, safety_stock, priority: None, expected: None };
        keys.bind(self.line, meant, command)
    }
}

fn read(line: u64, text: &[u8]) -> Result<Row, Problem> {
    let row: ImportRow = serde_json::from_slice(text).map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
    let mut checker = Checker::default();
    let sku = checker.sku(&row.sku, || "/sku".to_owned());
    let location = checker.location(&row.location, || "/location".to_owned());
    let on_hand = checker.units(row.on_hand, "/on_hand");
    let safety_stock = row.safety_stock.and_then(|units| checker.units(units, "/safety_stock"));
    match (sku, location, on_hand) {
        (Some(sku), Some(location), Some(on_hand)) if checker.errors.is_empty() => {
            Ok(Row { line, key: (sku, location), on_hand, safety_stock })
        }
        _ => Err(Problem::invalid(checker.errors)),
    }
}

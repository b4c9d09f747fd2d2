//! Imports: a catalogue as NDJSON, a row a line, in any size. Rows stream in, refusals stream out.
//!
//! Invariants: a bounded number of rows is in hand, so an import of any size costs the same memory; rows of one SKU and
//! location are taken in their order; a busy shard slows the import down and refuses no row; an engine that takes nothing
//! ends it with a last line that says where to go on.

mod answer;
mod keys;
mod lines;
mod rows;

use crate::http::body::Pieces;
use crate::http::body::json::content_type;
use crate::http::body::unread::Returned;
use crate::http::caller::{Caller, is_taken};
use crate::http::client;
use crate::http::problem::{Code, Problem};
use crate::http::request::ImportRow;
use crate::http::routes::sender::Sender;
use crate::state::App;
use crate::wire::json::to_json;
use actix_web::body::BodyStream;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use answer::{ImportEnd, ImportLine, RefusedRow};
use keys::RowKeys;
use lines::{Lines, Refusal, Row};
use rows::{Rows, Settled, Stalled};
use std::time::Duration;
use tokio::sync::mpsc;

/// Set the counts of many SKUs. Rows of one SKU and location are taken in the order of their lines.
///
/// The last line says how the import ended. `{imported, refused}`: every row was read and answered. With `code`
/// `durability_unavailable`: the engine took no row for `server.answer_wait_seconds`. Then all lines before
/// `resume_from_line` are settled, `unfinished` rows were read and have no answer (some may have been taken), and what came
/// after them was not read. Sending the rows from `resume_from_line` on again is safe. Lines count from 1, blank ones too.
///
/// With an `Idempotency-Key` each line takes effect once: the whole import, sent again under it, repeats none that was done. What is
/// sent from `resume_from_line` on has other lines, and needs a new key.
#[utoipa::path(post, path = "/v1/inventory/imports", tag = "stock", operation_id = "import_stock",
    request_body(content = ImportRow, content_type = "application/x-ndjson", description = "A row a line. The schema is of one line."),
    responses((status = 200, content_type = "application/x-ndjson", body = ImportLine,
        description = "A line for each refused row, then one that says how the import ended. The schema is of one line.")))]
pub async fn import(request: HttpRequest, app: Data<App>, caller: Caller, payload: Pieces) -> Result<HttpResponse, Problem> {
    content_type(&request, &["application/x-ndjson", "application/ndjson", "application/jsonl"])?;
    let key = caller.key;
    let keys = RowKeys::of(&request, caller)?;
    let (out, lines) = mpsc::channel::<Bytes>(64);
    let (feed, pieces) = mpsc::channel(1);
    let returned = Returned::default();
    actix_web::rt::spawn(forward(payload, feed, returned.clone()));
    // A row that finds no room is tried again as a whole, until the import stalls or the server stops.
    let (server, asked, sender) = (app.clone(), app.clone(), Sender::bulk(client::current(), Duration::ZERO));
    app.bulk.spawn(move || {
        let rows = Rows::new(server, keys, sender);
        Import { app: asked, key, rows, lines: Lines::default(), tally: Tally::default(), out }.run(pieces)
    });
    let body = futures_util::stream::unfold(lines, |mut lines| async {
        let line = lines.recv().await?;
        Some((Ok::<_, actix_web::Error>(line), lines))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").body(returned.behind(BodyStream::new(body))))
}

/// A piece of the body, or its end. Where none of these comes any more the body broke off.
type Piece = Option<Result<Bytes, Problem>>;

/// Hands the body from the thread of its connection to the one that imports it, and what is left of it back.
async fn forward(mut payload: Pieces, feed: mpsc::Sender<Piece>, returned: Returned) {
    hand_over(&mut payload, feed).await;
    returned.give_back(payload.rest());
}

async fn hand_over(payload: &mut Pieces, feed: mpsc::Sender<Piece>) {
    loop {
        let piece = tokio::select! {
            piece = payload.next() => piece,
            () = feed.closed() => return,
        };
        let more = matches!(piece, Some(Ok(_)));
        if feed.send(piece).await.is_err() || !more {
            return;
        }
    }
}

#[derive(Default)]
struct Tally {
    imported: u64,
    refused: u64,
}

struct Import {
    app: Data<App>,
    /// The number of its caller's key: no row is read on when that is revoked.
    key: Option<u128>,
    rows: Rows,
    lines: Lines,
    tally: Tally,
    out: mpsc::Sender<Bytes>,
}

impl Import {
    async fn run(mut self, pieces: mpsc::Receiver<Piece>) {
        let last = match self.take_all(pieces).await {
            Ok(()) => self.end(),
            Err(Stalled) => self.stalled(),
        };
        if !self.lines.broken {
            self.say(&ImportLine::Ended(last)).await;
        }
    }

    async fn take_all(&mut self, mut pieces: mpsc::Receiver<Piece>) -> Result<(), Stalled> {
        while !self.lines.ended {
            // Rows in hand go on while the next ones are waited for: a slow caller sees what became of those it sent.
            tokio::select! {
                settled = self.rows.next(), if !self.rows.is_empty() => self.count(settled?).await,
                piece = pieces.recv() => {
                    match piece {
                        Some(piece) if is_taken(&self.app, self.key) => self.lines.take(piece),
                        Some(_) | None => self.lines.break_off(),
                    }
                    if self.rows.is_closing() {
                        self.lines.leave();
                    }
                    self.take_lines().await?;
                }
                () = self.out.closed() => self.lines.break_off(),
            }
        }
        while !self.rows.is_empty() {
            let settled = self.rows.next().await?;
            self.count(settled).await;
        }
        Ok(())
    }

    /// Takes the lines that have come whole. While the rows in hand are as many as may be, nothing is read.
    async fn take_lines(&mut self) -> Result<(), Stalled> {
        while let Some((line, text)) = self.lines.next() {
            match Row::parse(line, &text) {
                Ok(row) => self.rows.add(row),
                Err(refusal) => self.count(Err(refusal)).await,
            }
            while self.rows.is_full() {
                let settled = self.rows.next().await?;
                self.count(settled).await;
            }
        }
        if let Some(refusal) = self.lines.given_up() {
            self.count(Err(refusal)).await;
        }
        Ok(())
    }

    async fn count(&mut self, settled: Settled) {
        let Err(Refusal { line, code, detail }) = settled else {
            self.tally.imported += 1;
            return;
        };
        self.tally.refused += 1;
        self.say(&ImportLine::Refused(RefusedRow { line, code: code.name(), detail })).await;
        // The time that the caller took to read is none of the engine's.
        self.rows.restart_wait();
    }

    /// A caller that is gone reads nothing; the rows that came whole are taken all the same.
    async fn say(&self, line: &ImportLine) {
        let mut text = to_json(line);
        text.push(b'\n');
        let _ = self.out.send(Bytes::from(text)).await;
    }

    fn end(&self) -> ImportEnd {
        ImportEnd { imported: self.tally.imported, refused: self.tally.refused, ..ImportEnd::default() }
    }

    /// The last line of an import that the engine does not go on with.
    fn stalled(&self) -> ImportEnd {
        let (line, seconds) = (self.rows.first_unsettled(), self.rows.timeout().as_secs());
        let from = line.unwrap_or_default();
        tracing::warn!(line = from, unfinished = self.rows.len(), "an import ends: the engine took no row for {seconds} s");
        let detail = format!(
            "the engine took no row for {seconds} s; the lines before line {from} are settled: when /readyz answers 200, send the \
             rows from line {from} on again"
        );
        ImportEnd {
            unfinished: Some(self.rows.len()),
            code: Some(Code::DurabilityUnavailable.name()),
            detail: Some(detail),
            resume_from_line: Some(from),
            ..self.end()
        }
    }
}

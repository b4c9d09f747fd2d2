//! Imports: a catalogue as NDJSON, a row a line, in any size. Rows stream in, refusals stream out.
//!
//! Invariant: a bounded number of rows is in hand, so an import of any size costs the same memory; a busy shard slows
//! the import down and refuses no row.

use super::send;
use crate::app::App;
use crate::dto::{Checker, ImportRow};
use crate::problem::{Code, Problem};
use crate::reply::rejected;
use crate::request::{Caller, content_type};
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use holdfast_actors::Unanswered;
use holdfast_engine::command::Command;
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;

/// Rows sent to the engine and not yet answered.
const IN_HAND: usize = 2048;
/// Bytes of one line.
const MAX_LINE: usize = 64 * 1024;

/// Set the counts of many SKUs.
#[utoipa::path(post, path = "/v1/inventory/imports", tag = "stock",
    request_body(content = ImportRow, content_type = "application/x-ndjson"),
    responses((status = 200, description = "NDJSON: a line {line, code, detail} per refused row, then {imported, refused}",
        content_type = "application/x-ndjson")))]
pub async fn import(request: HttpRequest, app: Data<App>, payload: Payload) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    let types = ["application/x-ndjson", "application/ndjson", "application/jsonl", "text/plain"];
    if let Err(problem) = content_type(&request, &types) {
        return problem.by(caller.request_id.as_str()).response();
    }
    let (out, lines) = mpsc::channel::<Bytes>(64);
    actix_web::rt::spawn(run(app, payload, out));
    let body = futures_util::stream::unfold(lines, |mut lines| async {
        let line = lines.recv().await?;
        Some((Ok::<_, actix_web::Error>(line), lines))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(body)
}

#[derive(Default)]
struct Tally {
    imported: u64,
    refused: u64,
}

struct Refusal {
    line: u64,
    code: Code,
    detail: String,
}

async fn run(app: Data<App>, mut payload: Payload, out: mpsc::Sender<Bytes>) {
    let mut tally = Tally::default();
    let mut rows = FuturesUnordered::new();
    let mut lines = Lines::default();
    while !lines.ended {
        // Rows in hand go on while the next ones are waited for: a slow caller sees what became of those it sent.
        let chunk = tokio::select! {
            Some(done) = rows.next(), if !rows.is_empty() => {
                if tell(done, &mut tally, &out).await { continue } else { return }
            }
            chunk = payload.next() => chunk,
        };
        lines.take(chunk);
        while let Some((line, row)) = lines.next() {
            rows.push(one(app.clone(), line, row));
            if rows.len() >= IN_HAND
                && let Some(done) = rows.next().await
                && !tell(done, &mut tally, &out).await
            {
                return;
            }
        }
        if let Some(refusal) = lines.overlong() {
            tell(Err(refusal), &mut tally, &out).await;
        }
    }
    while let Some(done) = rows.next().await {
        if !tell(done, &mut tally, &out).await {
            return;
        }
    }
    let last = json!({"imported": tally.imported, "refused": tally.refused});
    if !lines.broken {
        // A caller that is gone does not read its summary.
        out.send(Bytes::from(format!("{last}\n"))).await.unwrap_or_default();
    }
}

/// The lines of a body that comes in pieces.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    line: u64,
    ended: bool,
    /// It ended because the connection broke: what came whole counts, a half line does not.
    broken: bool,
}

impl Lines {
    fn take(&mut self, chunk: Option<Result<Bytes, PayloadError>>) {
        match chunk {
            Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
            Some(Err(_)) => (self.ended, self.broken) = (true, true),
            None => {
                self.ended = true;
                self.buffer.extend_from_slice(b"\n");
            }
        }
    }

    /// The next line that is not blank, with its number.
    fn next(&mut self) -> Option<(u64, Bytes)> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
            let row = self.buffer.split_to(end + 1).freeze();
            self.line += 1;
            if !row.iter().all(u8::is_ascii_whitespace) {
                return Some((self.line, row));
            }
        }
    }

    /// Gives up on a line that does not end.
    fn overlong(&mut self) -> Option<Refusal> {
        let detail = "a line is over 64 KiB: the rest is not read".to_owned();
        let refusal = Refusal { line: self.line + 1, code: Code::TooLarge, detail };
        let overlong = self.buffer.len() > MAX_LINE;
        self.ended |= overlong;
        overlong.then_some(refusal)
    }
}

/// False if the caller is gone.
async fn tell(done: Result<(), Refusal>, tally: &mut Tally, out: &mpsc::Sender<Bytes>) -> bool {
    let Err(Refusal { line, code, detail }) = done else {
        tally.imported += 1;
        return true;
    };
    tally.refused += 1;
    let refused = json!({"line": line, "code": code.name(), "detail": detail});
    out.send(Bytes::from(format!("{refused}\n"))).await.is_ok()
}

async fn one(app: Data<App>, line: u64, row: Bytes) -> Result<(), Refusal> {
    let refuse = |problem: Problem| Refusal { line, code: problem.code, detail: problem.detail };
    let command = parse(&row).map_err(refuse)?;
    loop {
        let sent = send(&app, command.clone());
        let unanswered = match sent {
            Ok(pending) => match pending.await {
                Ok(reply) => return reply.outcome.map(drop).map_err(|rejection| refuse(rejected(&rejection))),
                // Setting a count again changes nothing: safe to repeat.
                Err(_) => Unanswered::Lost,
            },
            Err(unanswered) => unanswered,
        };
        let wait = if unanswered == Unanswered::Overloaded { 5 } else { 200 };
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

fn parse(row: &[u8]) -> Result<Command, Problem> {
    let row: ImportRow = serde_json::from_slice(row).map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
    let mut checker = Checker::default();
    let sku = checker.sku(&row.sku, || "/sku".to_owned());
    let location = checker.location(&row.location, || "/location".to_owned());
    let on_hand = checker.units(row.on_hand, "/on_hand");
    let safety_stock = row.safety_stock.and_then(|units| checker.units(units, "/safety_stock"));
    match (sku, location, on_hand) {
        (Some(sku), Some(location), Some(on_hand)) if checker.errors.is_empty() => {
            Ok(Command::SetStock { sku, location, on_hand, safety_stock, priority: None, expected: None })
        }
        _ => Err(Problem::invalid(checker.errors)),
    }
}

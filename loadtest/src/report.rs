//! A run as one page that needs nothing else: plots, tables, the machine, and how it was measured.
//!
//! Invariant: it is made of a summary alone, so that a page can be made again of an old one.

mod plot;
mod plots;
mod text;

use crate::audit::Audit;
use crate::record::{Class, Operation};
use crate::scenario::{Shape, Spread};
use crate::summary::Summary;
use std::fmt::Write;
use text::{escape, grouped, ms, short};

/// The page.
pub fn page(summary: &Summary) -> String {
    let (name, about) = (escape(&summary.scenario.name), escape(&summary.scenario.about));
    let (style, verdict, cards) = (include_str!("report/style.css"), verdict(summary), cards(summary));
    let plots: String = plots::all(summary).iter().map(plot::Plot::html).collect();
    let tables = [latencies(summary), answers(summary), audit(&summary.audit), machine(summary), method(summary)].concat();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{name}: load test of Holdfast</title><style>{style}</style></head><body><main><h1>{name}</h1><p class=\"soft\">{about}</p>\
         {verdict}{cards}<h2>Over the run</h2><div class=\"plots\">{plots}</div>{tables}</main></body></html>\n"
    )
}

fn verdict(summary: &Summary) -> String {
    let (class, word) = match (summary.is_ok(), summary.invalid.is_empty()) {
        (false, _) => ("bad", "Failed"),
        (true, false) => ("warn", "The audit holds, the figures are not valid"),
        (true, true) => ("good", "Passed, and the audit holds"),
    };
    let findings = summary.audit.findings.iter().map(|finding| &finding.what);
    let reasons: String =
        findings.chain(&summary.broken).chain(&summary.invalid).map(|what| format!("<p>{}</p>", escape(what))).collect();
    let notes: String = summary.notes.iter().map(|note| format!("<p>{}</p>", escape(note))).collect();
    format!("<p class=\"verdict {class}\">{word}</p>{reasons}{notes}")
}

fn cards(summary: &Summary) -> String {
    let (totals, audit) = (&summary.totals, &summary.audit);
    let accepted = summary.latency(Operation::Place, Class::Accepted).map(|latency| latency.percentiles).unwrap_or_default();
    let findings = match audit.findings.len() {
        0 => "holds".to_owned(),
        count => format!("{count} found"),
    };
    let cards = [
        (format!("{}/s", short(totals.goodput)), "orders accepted"),
        (ms(accepted.p50), "p50 of them, ms"),
        (ms(accepted.p99), "p99, ms"),
        (ms(accepted.p999), "p99.9, ms"),
        (grouped(totals.due), "orders due"),
        (ms(summary.lateness.p99), "generator late, p99, ms"),
        (findings, "audit"),
    ];
    let cards: String = cards.iter().map(|(value, name)| format!("<div><b>{value}</b><small>{name}</small></div>")).collect();
    format!("<div class=\"cards\">{cards}</div>")
}

fn latencies(summary: &Summary) -> String {
    let mut rows = String::new();
    for latency in &summary.latencies {
        let all = latency.percentiles;
        let times: String =
            [all.p50, all.p90, all.p99, all.p999, all.max].map(|micros| format!("<td>{}</td>", ms(micros))).concat();
        let name = format!("{} {}", operation(latency.operation), latency.class.name());
        write!(rows, "<tr><td>{name}</td><td>{}</td>{times}</tr>", grouped(all.count)).expect("a string takes all");
    }
    format!(
        "<h2>Latency, ms</h2><div class=\"wide\"><table><tr><th></th><th>count</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th>\
         <th>max</th></tr>{rows}</table></div>"
    )
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Place => "order",
        Operation::Again => "order sent again",
        Operation::Copy => "copy at the same time",
        Operation::Pay => "payment",
        Operation::Confirm => "confirmation",
        Operation::Cancel => "cancellation",
    }
}

fn answers(summary: &Summary) -> String {
    let mut rows = String::new();
    for (asked, answers) in &summary.answers {
        for (answer, count) in answers {
            let (asked, answer) = (operation(*asked), escape(answer));
            write!(rows, "<tr><td>{asked}</td><td>{answer}</td><td>{}</td></tr>", grouped(*count)).expect("a string takes all");
        }
    }
    format!(
        "<h2>Answers</h2><div class=\"wide\"><table class=\"words\"><tr><th>asked</th><th>answer</th><th>count</th></tr>{rows}</table></div>"
    )
}

/// Rows of a name and what is said of it.
fn words(title: &str, rows: &[(&str, String)]) -> String {
    let rows: String = rows.iter().map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>", escape(value))).collect();
    format!("<h2>{title}</h2><table class=\"words\">{rows}</table>")
}

fn audit(audit: &Audit) -> String {
    let listed = if audit.listed { "; all of the customer's orders were listed, and none is unknown" } else { "" };
    let verify = audit.verify.as_ref().map_or("not run: the server was not started for the run".to_owned(), ToString::to_string);
    let rows = [
        ("stock", format!("{} SKUs compared with what was acknowledged", grouped(audit.skus))),
        ("orders", format!("{} of {} accepted ones read back{listed}", grouped(audit.orders_read), grouped(audit.accepted))),
        ("unknown", format!("{} orders whose outcome nobody could tell", audit.unresolved)),
        ("holdfast verify", verify),
        ("found", if audit.findings.is_empty() { "nothing".to_owned() } else { audit.findings.len().to_string() }),
    ];
    words("Audit", &rows)
}

fn machine(summary: &Summary) -> String {
    let machine = &summary.machine;
    let rows = [
        ("server", summary.server.clone()),
        ("generator", machine.generator.clone()),
        ("processor", format!("{} ({} cores)", machine.processor, machine.cores)),
        ("memory", format!("{} MB", grouped(machine.memory_mb))),
        ("kernel", machine.kernel.clone()),
        ("write of 4 KiB with fdatasync", format!("{} µs, median of 51", grouped(machine.sync_us))),
        ("load average before", machine.load.clone()),
        ("started", summary.started.clone()),
    ];
    words("Machine", &rows)
}

fn method(summary: &Summary) -> String {
    let load = &summary.scenario.load;
    let arrivals = match (load.shape, load.arrivals) {
        (Shape::Closed, _) => {
            "Closed loop: a buyer comes when the one before is answered. A server that stalls is asked less, so the latencies are \
             too good: read the throughput."
        }
        (Shape::Crowd, _) => {
            "All buyers come at the same moment, each with a connection that is open already. Latency counts from that moment."
        }
        (_, Spread::Even) => {
            "Open loop with equal gaps. Latency counts from when an order was due, whatever the server did before."
        }
        (_, Spread::Poisson) => {
            "Open loop with Poisson arrivals. Latency counts from when an order was due, whatever the server did before."
        }
    };
    let scenario = toml::to_string(&summary.scenario).unwrap_or_default();
    format!(
        "<h2>Method</h2><p>{arrivals} An order that was sent again counts until its last answer. There is no warm-up: the first second is in \
         the figures. Where generator and server share a machine, each takes processor from the other. The audit compares what was \
         acknowledged with stock and orders of the API after the run.</p><pre>{}</pre>",
        escape(&scenario)
    )
}

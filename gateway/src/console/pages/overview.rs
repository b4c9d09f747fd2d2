//! Overview: whether orders are taken, how many, and what lags behind.

use super::super::layout::{bytes, count, percent, region, scrolling, seconds, time};
use super::super::plot;
use super::super::sight::{Health, SECONDS, Second, Sight};
use super::super::table::{Column, table};
use crate::adviser::{Action, Advice, advise};
use maud::{Markup, html};

/// Seconds in a row of the table beside the plot.
const ROW: usize = 10;
/// Seconds that a rate is taken over.
const RATE: usize = 10;

pub fn page(sight: &Sight) -> Markup {
    html! {
        div id="verdict" data-live aria-live="polite" { (verdict(sight)) }
        (region("as-of", &as_of(sight)))
        h2 { "What to do" }
        (region("advice", &advice(sight)))
        h2 { "Figures" }
        (region("figures", &figures(sight)))
        h2 { "Orders a second" }
        (region("plot", &plot(sight)))
        details {
            summary { "The same as a table" }
            (scrolling("Orders a second as a table", &region("plot-table", &rates(&sight.seconds))))
        }
        h2 { "Refusals since the start" }
        (scrolling("Refusals by reason", &region("refusals", &refusals(sight))))
    }
}

pub fn regions(sight: &Sight) -> Markup {
    html! {
        (region("verdict", &verdict(sight)))
        (region("as-of", &as_of(sight)))
        (region("advice", &advice(sight)))
        (region("figures", &figures(sight)))
        (region("plot", &plot(sight)))
        (region("plot-table", &rates(&sight.seconds)))
        (region("refusals", &refusals(sight)))
    }
}

/// No number is in it: it is read out when it changes.
fn verdict(sight: &Sight) -> Markup {
    let alarms = sight.readings.sum("holdfast_alarms_total").unwrap_or_default() > 0.0;
    let (class, mark, text) = match &sight.health {
        Health::Down(reason) => ("bad", "✕", format!("Orders are not taken: {reason}")),
        Health::Closing => ("bad", "✕", "Orders are not taken: the server stops.".to_owned()),
        _ if !sight.is_whole() => ("bad", "✕", "Not every shard answers: see Shards.".to_owned()),
        _ if alarms => ("bad", "✕", "Something that must be impossible was seen: read the log, and run an audit.".to_owned()),
        Health::Paused => (
            "warn",
            "!",
            "New orders and reservations are not taken: an operator paused them (orders.accepting). What is placed goes on."
                .to_owned(),
        ),
        Health::Draining => ("warn", "!", "The server is about to stop: orders are taken until then.".to_owned()),
        Health::Taken if is_full(sight) => {
            ("warn", "!", "Orders are taken, but a shard has nearly all requests in hand that it may.".to_owned())
        }
        Health::Taken => ("good", "✓", "Orders are taken.".to_owned()),
    };
    html! { p class={ "verdict " (class) } { span aria-hidden="true" { (mark) } " " (text) } }
}

/// What the adviser says of the last minute. Where it proposes something a link leads to where that is planned.
fn advice(sight: &Sight) -> Markup {
    html! {
        ul class="advice" {
            @for Advice { sentence, action, .. } in advise(&sight.frames) {
                li { (sentence) @if let Some(action) = action { " " a href=(place(&action)) { "Plan it" } } }
            }
        }
    }
}

fn place(action: &Action) -> String {
    match action {
        Action::Tune { key, value } => format!("/console/settings?key={key}&value={value}"),
        Action::Isolate { .. } | Action::Level => "/console/shards".to_owned(),
    }
}

/// A shard refuses soon.
fn is_full(sight: &Sight) -> bool {
    sight.shards.iter().any(|shard| shard.depth * 10 > shard.limit * 9)
}

fn as_of(sight: &Sight) -> Markup {
    html! { p class="soft" { "As of " (time(sight.at)) } }
}

fn figures(sight: &Sight) -> Markup {
    let (depth, limit) = sight.depth();
    let sum = |of: fn(&holdfast_actors::inbox::ShardReport) -> usize| sight.shards.iter().map(of).sum::<usize>() as f64;
    let metric = |name: &str| sight.readings.sum(name);
    let orders = |outcome| sight.readings.sum_of("holdfast_orders_total", "outcome", outcome);
    let rate = format!("{:.1}", sight.rate(RATE, |second| second.placed));
    html! {
        dl class="tiles" {
            (tile("orders-rate", "Orders a second, last 10 s", &rate))
            (tile("orders-placed", "Orders placed since the start, retries too", &count(orders("placed"))))
            (tile("orders-refused", "Orders refused since the start", &count(orders("refused"))))
            (measured("latency", "Answers of the API within (95\u{a0}%)", metric("holdfast_request_latency_p95").map(seconds)))
            (measured("errors", "Answers with 5xx, last minute", metric("holdfast_error_rate_5xx").map(percent)))
            (measured("sync", "A commit, sync included, within (99\u{a0}%)", sight.frames.last().map(|frame| seconds(frame.sync_p99_ms / 1000.0))))
            (tile("depth", "Requests in hand, and at most", &format!("{} / {}", count(depth as f64), count(limit as f64))))
            (tile("orders-open", "Orders in memory", &count(sum(|shard| shard.orders))))
            (tile("holds", "Live holds", &count(sum(|shard| shard.holds))))
            (tile("skus", "SKUs", &count(sum(|shard| shard.skus))))
            (measured("expiry", "Expiry behind", metric("holdfast_hold_expiry_lag_seconds").map(seconds)))
            (measured("relay", "Not on Kafka yet, events", metric("holdfast_relay_lag_events").map(count)))
            (measured("projection", "Not in the tables yet, commits", metric("holdfast_projection_lag_commits").map(count)))
            (measured("journal", "Log on this machine", metric("holdfast_journal_bytes").map(bytes)))
            (measured("disk", "Free on the disk", metric("holdfast_data_disk_free_bytes").map(bytes)))
            (measured("memory", "Memory of the process", metric("holdfast_process_resident_bytes").map(bytes)))
        }
    }
}

fn tile(id: &str, label: &str, value: &str) -> Markup {
    html! { div { dt { (label) } dd id=(id) { (value) } } }
}

/// A tile, where there is such a number.
fn measured(id: &str, label: &str, value: Option<String>) -> Markup {
    html! { @if let Some(value) = value { (tile(id, label, &value)) } }
}

fn plot(sight: &Sight) -> Markup {
    let mut values = vec![0.0; SECONDS.saturating_sub(sight.seconds.len())];
    values.extend(sight.seconds.iter().map(|second| second.placed));
    let highest = values.iter().copied().fold(0.0, f64::max);
    let label = format!("Orders placed in each of the last {} minutes' seconds; the highest is {}", SECONDS / 60, count(highest));
    html! {
        figure {
            figcaption { "Placed in each second of the last " (SECONDS / 60) " minutes; the highest is " (count(highest)) "." }
            (plot::line(&label, &values))
            div class="ends" aria-hidden="true" { span { (SECONDS / 60) " min ago" } span { "now" } }
        }
    }
}

fn rates(seconds: &[Second]) -> Markup {
    let columns = [Column::plain("Seconds ago"), Column::number("Placed a second"), Column::number("Refused a second")];
    let rows = seconds.rchunks(ROW).enumerate().map(|(row, chunk)| {
        let ago = html! { (row * ROW) " to " (row * ROW + chunk.len()) };
        vec![ago, html! { (rate(chunk, |second| second.placed)) }, html! { (rate(chunk, |second| second.refused)) }]
    });
    table(None, &columns, rows)
}

fn rate(chunk: &[Second], of: fn(&Second) -> f64) -> String {
    format!("{:.1}", chunk.iter().map(of).sum::<f64>() / chunk.len().max(1) as f64)
}

fn refusals(sight: &Sight) -> Markup {
    let mut reasons: Vec<(&str, f64)> = Vec::new();
    for (code, value) in sight.readings.by("holdfast_problems_total", "code").filter(|(_, value)| *value > 0.0) {
        match reasons.iter_mut().find(|(known, _)| *known == code) {
            Some((_, sum)) => *sum += value,
            None => reasons.push((code, value)),
        }
    }
    reasons.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    if reasons.is_empty() {
        return html! { p { "None." } };
    }
    let row = |(code, value): (&str, f64)| vec![html! { a href={ "/problems/" (code) } { (code) } }, html! { (count(value)) }];
    table(None, &[Column::plain("Reason"), Column::number("Answers")], reasons.into_iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::readings::Readings;
    use holdfast_actors::inbox::ShardReport;
    use holdfast_actors::probe::Seen;
    use holdfast_engine::time::Timestamp;

    fn sight(health: Health, depth: usize, metrics: &str) -> Sight {
        let shard = ShardReport { depth, limit: 100, ..ShardReport::default() };
        let readings = Readings::read(metrics);
        Sight {
            at: Timestamp::new(0),
            health,
            shards: vec![shard],
            seen: vec![Seen::default()],
            operation: None,
            frames: Vec::new(),
            readings,
            seconds: [].into(),
        }
    }

    #[test]
    fn the_verdict_names_what_is_worst() {
        let down = Health::Down("recovering <b>".to_owned());
        for (health, depth, metrics, expected) in [
            (Health::Taken, 90, "", "Orders are taken."),
            (Health::Taken, 91, "", "nearly all"),
            (Health::Taken, 91, "holdfast_alarms_total 1", "must be impossible"),
            (Health::Closing, 0, "", "the server stops"),
            (Health::Draining, 0, "", "orders are taken until then"),
            (Health::Paused, 0, "", "an operator paused them"),
            (Health::Paused, 0, "holdfast_alarms_total 1", "must be impossible"),
            (down, 0, "", "recovering &lt;b&gt;"),
        ] {
            let shown = verdict(&sight(health, depth, metrics)).into_string();
            assert!(shown.contains(expected), "{shown}");
        }
        let silent = Sight { seen: vec![Seen::default(); 2], ..sight(Health::Taken, 0, "") };
        assert!(verdict(&silent).into_string().contains("Not every shard"));
    }

    #[test]
    fn refusals_are_counted_by_reason_over_all_routes_the_most_first() {
        let metrics = "holdfast_problems_total{code=\"a\",route=\"/x\"} 1\nholdfast_problems_total{code=\"b\",route=\"/x\"} 5\n\
                       holdfast_problems_total{code=\"a\",route=\"/y\"} 2\nholdfast_problems_total{code=\"c\"} 0\n";
        let shown = refusals(&sight(Health::Taken, 0, metrics)).into_string();
        let at = |text: &str| shown.find(text).unwrap_or(usize::MAX);
        assert!(at(">b<") < at(">5<") && at(">5<") < at(">a<") && at(">a<") < at(">3<") && !shown.contains(">c<"), "{shown}");
    }

    #[test]
    fn the_table_says_the_same_as_the_plot() {
        let seconds: Vec<Second> = (0..25).map(|n| Second { placed: f64::from(n), refused: 1.0 }).collect();
        let shown = rates(&seconds).into_string();
        for expected in ["0 to 10", "19.5", "10 to 20", "9.5", "20 to 25", "2.0"] {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
    }
}

//! Shards: what each has in hand and hosts, moves of partitions, and another number of shards.

use super::super::layout::{count, percent, region, scrolling, seconds, time};
use super::super::session::Operator;
use super::super::sight::{Sight, waits};
use super::super::table::{Column, Row, table};
use super::heat;
use crate::live::HotSku;
use crate::settings::SHARDS;
use crate::tuning::plan::Plan;
use holdfast_actors::inbox::ShardReport;
use holdfast_actors::placement::operations::{Goal, Operation, State};
use holdfast_actors::probe::Seen;
use maud::{Markup, html};
use std::time::Duration;

/// Partitions that are listed as those with the most requests.
const HOTTEST: usize = 10;

const SHARD: [Column; 11] = [
    Column::plain("Shard"),
    Column::bar("Requests in hand"),
    Column::number("At most"),
    Column::number("Busy"),
    Column::number("Wait, half"),
    Column::number("Wait, 99\u{a0}%"),
    Column::number("Partitions"),
    Column::number("Orders"),
    Column::number("SKUs"),
    Column::number("Holds"),
    Column::number("Rebuilt"),
];
const HOT: [Column; 4] = [Column::text("SKU"), Column::plain("Partition"), Column::plain("Shard"), Column::number("Lines")];

pub fn page(sight: &Sight, operator: &Operator) -> Markup {
    html! {
        (region("as-of", &as_of(sight)))
        (scrolling("Shards", &region("shards", &shards(sight))))
        p class="soft" { "Busy is the share of one processor. Wait is how long a probe, and so a request, waited in the last minute." }
        (region("operation", &operation(sight.operation.as_ref())))
        @if operator.acts() { (forms(sight.seen.len())) }
        h2 { "Partitions" }
        p { "Which shard hosts which partition." }
        (scrolling("Partitions by shard", &region("partitions", &partitions(&sight.shards))))
        h2 { "Heat" }
        (region("heat", &heat::map(&sight.shards)))
        details {
            summary { "The same as a table" }
            (scrolling("Requests by partition", &region("heat-table", &heat::table(&sight.shards))))
        }
        h2 { "Hot SKUs" }
        (scrolling("Hot SKUs", &region("hot", &hot(sight))))
        h2 { "Hottest partitions" }
        (scrolling("Hottest partitions", &region("hottest", &hottest(&sight.shards))))
    }
}

pub fn regions(sight: &Sight) -> Markup {
    html! {
        (region("as-of", &as_of(sight)))
        (region("shards", &shards(sight)))
        (region("operation", &operation(sight.operation.as_ref())))
        (region("partitions", &partitions(&sight.shards)))
        (region("heat", &heat::map(&sight.shards)))
        (region("heat-table", &heat::table(&sight.shards)))
        (region("hot", &hot(sight)))
        (region("hottest", &hottest(&sight.shards)))
    }
}

fn operation(last: Option<&Operation>) -> Markup {
    let Some(Operation { id, goal, state, moves, moved }) = last else { return html! {} };
    let goal = match goal {
        Goal::Shards(count) => format!("{count} shards"),
        Goal::Partition(to) => format!("partition {} to shard {}", to.partition.0, to.to),
    };
    let (class, state) = match state {
        State::Running => ("verdict", "running".to_owned()),
        State::Done => ("verdict good", "done".to_owned()),
        State::Failed(reason) => ("verdict bad", format!("failed: {reason}")),
    };
    html! { p class=(class) { "Operation " (id) ", " (goal) ": " (state) ", " (moved) " of " (moves) " moves." } }
}

fn forms(shards: usize) -> Markup {
    html! {
        form method="post" action="/console/shards/move" data-act class="search" {
            div { label for="partition" { "Move partition" } input id="partition" name="partition" inputmode="numeric" required size="6"; }
            div { label for="shard" { "to shard" } input id="shard" name="shard" inputmode="numeric" required size="6"; }
            button { "Move" }
            p class="failure" role="alert" {}
        }
        form method="post" action="/console/shards/plan" class="search" {
            div { label for="shards-wanted" { "Shards there are to be" } input id="shards-wanted" name="shards" inputmode="numeric" required size="6"; }
            button { "Show the plan" }
        }
        @if shards > 1 {
            form method="post" action="/console/shards/plan" class="search" {
                input type="hidden" name="shards" value=(shards);
                button { "Plan how to level the " (shards) " shards" }
            }
        }
    }
}

/// What another number of shards would move, to be confirmed by that number.
pub fn plan(plan: &Plan, (now, then): (usize, usize), moves: Moves) -> Markup {
    html! {
        p { (now) @if now == 1 { " shard becomes " } @else { " shards become " } (then) " by " code { (SHARDS) } ", also after a restart. " (pause(moves)) }
        @for warning in &plan.warnings { p class="verdict warn" { span aria-hidden="true" { "!" } " " (warning) } }
        (confirmation(then, html! {
            input type="hidden" name="plan" value=(plan.id);
            div { label for="note" { "Why, for those who look at it later" } input id="note" name="note" autocomplete="off"; }
        }))
    }
}

/// What levelling the shards there are would move, to be confirmed by their number.
pub fn level(shards: usize, moves: Moves) -> Markup {
    html! {
        p { "The number of shards stays " (shards) ", and what each has to do is levelled. " (pause(moves)) }
        (confirmation(shards, html! {}))
    }
}

/// What a plan moves.
#[derive(Clone, Copy)]
pub struct Moves {
    pub count: usize,
    /// How long orders for a partition that moves would wait. None: nobody knows yet.
    pub pause_ms: Option<f64>,
}

fn pause(Moves { count, pause_ms }: Moves) -> Markup {
    let wait = pause_ms.map_or_else(|| "a few".to_owned(), |millis| format!("some {:.0}", millis.max(1.0)));
    html! {
        (count) " partitions move, one after the other; orders go on, and those for a partition that moves wait for " (wait)
        " milliseconds."
    }
}

fn confirmation(shards: usize, fields: Markup) -> Markup {
    html! {
        form method="post" action="/console/shards/apply" data-act class="stack" {
            input type="hidden" name="shards" value=(shards);
            (fields)
            div { label for="confirm" { "Write " (shards) " to confirm" } input id="confirm" name="confirm" inputmode="numeric" required autocomplete="off"; }
            p class="failure" role="alert" {}
            button { "Apply" }
        }
        p { a href="/console/shards" { "Back without a change" } }
    }
}

/// The SKUs of most lines of orders in the last second.
fn hot(sight: &Sight) -> Markup {
    let frame = sight.frames.last().filter(|frame| !frame.hot.is_empty());
    let Some(frame) = frame else { return html! { p { "No orders in the last second." } } };
    html! {
        p class="soft" { "Of " (frame.lines_sampled) " lines of orders that were looked at in the last second, one order in eight." }
        (table(None, &HOT, frame.hot.iter().map(hot_row)))
    }
}

fn hot_row(HotSku { sku, partition, shard, count: lines }: &HotSku) -> Row {
    vec![html! { (sku) }, html! { (partition) }, html! { (shard) }, html! { (count(*lines as f64)) }]
}

/// The partitions that were sent the most requests since their shards host them.
fn hottest(shards: &[ShardReport]) -> Markup {
    let of = |shard: &ShardReport| {
        let number = shard.shard;
        shard
            .partitions
            .iter()
            .copied()
            .zip(shard.requests.iter().copied())
            .map(move |(partition, sent)| (sent, partition, number))
            .collect::<Vec<_>>()
    };
    let mut all: Vec<(u64, u16, usize)> = shards.iter().flat_map(of).filter(|(sent, ..)| *sent > 0).collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    if all.is_empty() {
        return html! { p { "No requests yet." } };
    }
    let columns = [Column::plain("Partition"), Column::plain("Shard"), Column::number("Requests since it is there")];
    let row = |(sent, partition, shard)| vec![html! { (partition) }, html! { (shard) }, html! { (count(sent as f64)) }];
    table(None, &columns, all.into_iter().take(HOTTEST).map(row))
}

fn as_of(sight: &Sight) -> Markup {
    let silent = sight.seen.len().saturating_sub(sight.shards.len());
    html! {
        p class="soft" { "As of " (time(sight.at)) }
        @if silent > 0 {
            p class="verdict bad" { span aria-hidden="true" { "✕" } " " (silent) " of " (sight.seen.len()) " shards did not answer." }
        }
    }
}

fn shards(sight: &Sight) -> Markup {
    let row = |shard: &ShardReport| row(shard, sight.seen.get(shard.shard).unwrap_or(&Seen::default()));
    table(None, &SHARD, sight.shards.iter().map(row))
}

fn row(shard: &ShardReport, seen: &Seen) -> Row {
    let ShardReport { shard, epoch, depth, limit, partitions, orders, skus, holds, requests: _, heat: _ } = shard;
    let wait = |wait: Option<Duration>| wait.map_or_else(|| "–".to_owned(), |wait| seconds(wait.as_secs_f64()));
    let (half, most) = waits(seen).unzip();
    let in_hand = html! {
        span class="depth" { (count(*depth as f64)) } " "
        meter min="0" max=(limit) value=(depth) aria-label={ "Requests in hand of shard " (shard) } {}
    };
    let mut cells = vec![html! { (shard) }, in_hand];
    let figures = [count(*limit as f64), percent(seen.busy), wait(half), wait(most)];
    let counts = [partitions.len(), *orders, *skus, *holds].map(|number| count(number as f64));
    cells.extend(figures.into_iter().chain(counts).map(|figure| html! { (figure) }));
    cells.push(html! { (epoch) });
    cells
}

fn partitions(shards: &[ShardReport]) -> Markup {
    let row = |shard: &ShardReport| vec![html! { (shard.shard) }, html! { (ranges(&shard.partitions)) }];
    table(None, &[Column::plain("Shard"), Column::list("Partitions")], shards.iter().map(row))
}

/// Numbers in a row as a range.
fn ranges(numbers: &[u16]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let pieces = sorted.chunk_by(|one, next| one + 1 == *next).filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}–{last}")),
    });
    let text = pieces.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_partitions_are_those_with_the_most_requests_wherever_they_are() {
        let shard = |shard, partitions: &[u16], requests: &[u64]| ShardReport {
            shard,
            partitions: partitions.to_vec(),
            requests: requests.to_vec(),
            ..ShardReport::default()
        };
        let shown = hottest(&[shard(0, &[1, 2], &[5, 0]), shard(1, &[7], &[1_000])]).into_string();
        assert!(shown.find(">7<") < shown.find(">1<") && shown.contains(">1,000<") && !shown.contains(">2<"), "{shown}");
        assert!(hottest(&[]).into_string().contains("No requests"));
    }

    #[test]
    fn a_plan_says_how_long_orders_wait_that_meet_a_move() {
        for (pause_ms, expected) in
            [(None, "a few milliseconds"), (Some(0.2), "some 1 milliseconds"), (Some(37.6), "some 38 milliseconds")]
        {
            let shown = pause(Moves { count: 3, pause_ms }).into_string();
            assert!(shown.contains(expected), "{shown}");
        }
    }

    #[test]
    fn an_operation_is_shown_to_its_end() {
        let of = |state| operation(Some(&Operation { id: 3, goal: Goal::Shards(4), state, moves: 9, moved: 2 })).into_string();
        assert!(of(State::Running).contains("4 shards: running, 2 of 9 moves") && of(State::Done).contains("done"));
        assert!(of(State::Failed("<b>".to_owned())).contains("failed: &lt;b&gt;"));
    }

    #[test]
    fn partitions_in_a_row_are_a_range() {
        for (numbers, expected) in
            [(&[][..], "none"), (&[7], "7"), (&[0, 2, 4], "0, 2, 4"), (&[3, 1, 2, 9, 8, 65535], "1–3, 8–9, 65535")]
        {
            assert_eq!(ranges(numbers), expected);
        }
    }
}

//! Shards: what each has in hand and hosts.

use super::super::layout::{count, percent, region, scrolling, seconds, time};
use super::super::sight::{Sight, waits};
use holdfast_actors::inbox::ShardReport;
use holdfast_actors::probe::Seen;
use maud::{Markup, html};
use std::time::Duration;

pub fn page(sight: &Sight) -> Markup {
    html! {
        (region("as-of", &as_of(sight)))
        (scrolling("Shards", &region("shards", &shards(sight))))
        p class="soft" { "Busy is the share of one processor. Wait is how long a probe, and so a request, waited in the last minute." }
        h2 { "Partitions" }
        p { "Which shard hosts which partition." }
        (scrolling("Partitions by shard", &region("partitions", &partitions(&sight.shards))))
    }
}

pub fn regions(sight: &Sight) -> Markup {
    html! {
        (region("as-of", &as_of(sight)))
        (region("shards", &shards(sight)))
        (region("partitions", &partitions(&sight.shards)))
    }
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
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Shard" }
                    th scope="col" { "Requests in hand" }
                    @for heading in ["At most", "Busy", "Wait, half", "Wait, 99 %", "Partitions", "Orders", "SKUs", "Holds", "Rebuilt"] {
                        th scope="col" class="n" { (heading) }
                    }
                }
            }
            tbody { @for shard in &sight.shards { (row(shard, sight.seen.get(shard.shard).unwrap_or(&Seen::default()))) } }
        }
    }
}

fn row(shard: &ShardReport, seen: &Seen) -> Markup {
    let ShardReport { shard, epoch, depth, limit, partitions, orders, skus, holds, requests: _ } = shard;
    let wait = |wait: Option<Duration>| wait.map_or_else(|| "–".to_owned(), |wait| seconds(wait.as_secs_f64()));
    let (half, most) = waits(seen).unzip();
    html! {
        tr id={ "shard-" (shard) } {
            th scope="row" { (shard) }
            td class="bar" {
                span class="depth" { (count(*depth as f64)) } " "
                meter min="0" max=(limit) value=(depth) aria-label={ "Requests in hand of shard " (shard) } {}
            }
            td class="n" { (count(*limit as f64)) }
            td class="n" { (percent(seen.busy)) }
            td class="n" { (wait(half)) }
            td class="n" { (wait(most)) }
            @for number in [partitions.len(), *orders, *skus, *holds] { td class="n" { (count(number as f64)) } }
            td class="n" { (epoch) }
        }
    }
}

fn partitions(shards: &[ShardReport]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Shard" } th scope="col" { "Partitions" } } }
            tbody { @for shard in shards { tr { th scope="row" { (shard.shard) } td class="list" { (ranges(&shard.partitions)) } } } }
        }
    }
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
    fn partitions_in_a_row_are_a_range() {
        for (numbers, expected) in
            [(&[][..], "none"), (&[7], "7"), (&[0, 2, 4], "0, 2, 4"), (&[3, 1, 2, 9, 8, 65535], "1–3, 8–9, 65535")]
        {
            assert_eq!(ranges(numbers), expected);
        }
    }
}

//! How hot the partitions are, as a map: which of them requests are for.
//!
//! Invariant: whatever the map shows is said in words beside it, and in a table.

use super::super::layout::count;
use super::super::plot;
use super::super::table::{self, Column, Row};
use holdfast_actors::inbox::ShardReport;
use maud::{Markup, html};

/// Partitions in a row, and in one where there are many.
const COLUMNS: usize = 16;
const MANY_COLUMNS: usize = 64;
const MANY: usize = 512;

/// The map, of the shards that answered.
pub(super) fn map(shards: &[ShardReport]) -> Markup {
    let heat = by_partition(shards);
    let said = said(&heat);
    html! {
        figure {
            figcaption {
                (said) " A square is a partition, " (columns(&heat)) " in a row from partition 0 on: the larger and stronger, the more requests \
                it was sent since its shard hosts it."
            }
            (plot::squares(&said, &heat, columns(&heat)))
        }
    }
}

fn columns(heat: &[u64]) -> usize {
    if heat.len() > MANY { MANY_COLUMNS } else { COLUMNS }
}

/// Requests to each partition since its shard hosts it, by its number. Of one that no shard tells of there is nothing to say.
fn by_partition(shards: &[ShardReport]) -> Vec<u64> {
    let hosted = || shards.iter().flat_map(|shard| shard.partitions.iter().zip(&shard.requests));
    let partitions = hosted().map(|(partition, _)| usize::from(*partition) + 1).max().unwrap_or_default();
    let mut heat = vec![0; partitions];
    hosted().for_each(|(partition, requests)| heat[usize::from(*partition)] = *requests);
    heat
}

fn said(heat: &[u64]) -> String {
    let (Some(hottest), all) = (heat.iter().max(), heat.iter().sum::<u64>()) else { return "No shard answered.".to_owned() };
    if all == 0 {
        return format!("None of {} partitions was sent a request yet.", heat.len());
    }
    let partition = heat.iter().position(|requests| requests == hottest).unwrap_or_default();
    let (share, idle) = (100.0 * *hottest as f64 / all as f64, heat.iter().filter(|requests| **requests == 0).count());
    format!("Partition {partition} is the hottest of {}, with {share:.0}\u{a0}% of the requests; {idle} had none.", heat.len())
}

/// The same as a table, with a row for each of the map.
pub(super) fn table(shards: &[ShardReport]) -> Markup {
    let heat = by_partition(shards);
    let columns = columns(&heat);
    let rows = heat.chunks(columns).enumerate().map(|(row, requests)| row_from(row * columns, requests));
    table::table(None, &[Column::plain("Partitions"), Column::list("Requests to each")], rows)
}

/// Of the partitions from `first` on.
fn row_from(first: usize, requests: &[u64]) -> Row {
    let each: Vec<String> = requests.iter().map(|one| count(*one as f64)).collect();
    vec![html! { (first) "–" (first + requests.len() - 1) }, html! { (each.join(" · ")) }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(partitions: &[u16], requests: &[u64]) -> ShardReport {
        ShardReport { partitions: partitions.to_vec(), requests: requests.to_vec(), ..ShardReport::default() }
    }

    #[test]
    fn the_map_says_in_words_and_in_a_table_what_it_shows() {
        let shards = [shard(&[1, 3], &[30, 0]), shard(&[0, 2], &[10, 0])];
        let shown = map(&shards).into_string() + &table(&shards).into_string();
        for expected in
            ["Partition 1 is the hottest of 4, with 75\u{a0}% of the requests; 2 had none.", "0–3", "10 · 30 · 0 · 0", "<svg"]
        {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
        assert!(map(&[shard(&[0], &[0])]).into_string().contains("None of 1 partitions"));
        assert!(map(&[]).into_string().contains("No shard answered."));
    }
}

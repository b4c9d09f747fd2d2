//! What was measured, and the table of it: shares of the bare handler of the same round.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result as Written, Write};
use std::path::Path;

/// One load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    pub(super) contender: String,
    pub(super) skus: u32,
    pub(super) round: u32,
    pub(super) orders_per_second: f64,
    pub(super) p99_ms: f64,
    /// Orders that the store had after it, added up.
    pub(super) stored: u64,
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> Written {
        let Self { contender, skus, orders_per_second, p99_ms, stored, .. } = self;
        write!(f, "{contender:<18} {skus:>8} SKUs {orders_per_second:>9.0}/s  p99 {p99_ms:>7.2} ms  stored {stored}")
    }
}

/// The middle one of some, with the least and the most.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some(Spread { median: f64::midpoint(low, high), least, most })
}

/// A table in Markdown. The bare handler of a round is that of the same number of SKUs, or of any if it had no such turn.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut table = "| what | SKUs | orders/s | share of bare | p99 ms |\n|---|---|---|---|---|\n".to_owned();
    let bare = |of: &Figure| {
        let same_round = figures.iter().filter(|figure| figure.contender == "bare" && figure.round == of.round);
        same_round.min_by_key(|figure| figure.skus.abs_diff(of.skus)).map(|figure| figure.orders_per_second)
    };
    let mut groups: BTreeMap<(u32, &str), Vec<&Figure>> = BTreeMap::new();
    for figure in figures {
        groups.entry((figure.skus, &figure.contender)).or_default().push(figure);
    }
    for ((skus, contender), group) in groups {
        let all = |value: &dyn Fn(&Figure) -> Option<f64>| spread(group.iter().filter_map(|figure| value(figure)).collect());
        let rate = all(&|figure| Some(figure.orders_per_second));
        let share = all(&|figure| Some(figure.orders_per_second / bare(figure)?));
        let p99 = all(&|figure| Some(figure.p99_ms));
        let shown = |of: Option<Spread>, digits: usize| {
            of.map_or("–".to_owned(), |Spread { median, least, most }| {
                format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
            })
        };
        let _ = writeln!(table, "| {contender} | {skus} | {} | {} | {} |", shown(rate, 0), shown(share, 2), shown(p99, 1));
    }
    table
}

/// # Errors
/// If the file cannot be written.
pub(super) fn write(path: &Path, figures: &[Figure]) -> Result<(), String> {
    let text = serde_json::to_string_pretty(figures).map_err(|error| error.to_string())?;
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(contender: &str, round: u32, rate: f64) -> Figure {
        Figure { contender: contender.to_owned(), skus: 1, round, orders_per_second: rate, p99_ms: 2.0, stored: 0 }
    }

    #[test]
    fn a_share_is_of_the_bare_handler_of_the_same_round() {
        let figures = [figure("bare", 1, 100.0), figure("x", 1, 50.0), figure("bare", 2, 200.0), figure("x", 2, 140.0)];
        assert!(table(&figures).contains("| x | 1 | 95 (50–140) | 0.60 (0.50–0.70) | 2.0 (2.0–2.0) |"), "{}", table(&figures));
    }
}

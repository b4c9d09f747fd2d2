//! Plots as SVG: a line over the last seconds, squares for what there is many of.
//!
//! Invariant: a plot has no text and no colour of its own. What it shows is said in words beside it and in a table, and colours come from
//! the style sheet, so that one plot serves light and dark at any width.

use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// A line over values that are equally far apart, the oldest first, on a ground that begins at 0. `label` says what it shows.
pub fn line(label: &str, values: &[f64]) -> Markup {
    let top = values.iter().copied().fold(0.0, f64::max);
    html! {
        svg class="plot" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            line class="ground" x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            @if top > 0.0 { polyline class="line" points=(points(values, top)) {} }
        }
    }
}

fn points(values: &[f64], top: f64) -> String {
    let step = WIDTH / values.len().saturating_sub(1).max(1) as f64;
    values.iter().enumerate().fold(String::with_capacity(values.len() * 12), |mut points, (at, value)| {
        // Writing to a string cannot fail.
        let _ = write!(points, "{:.1},{:.1} ", at as f64 * step, HEIGHT - value / top * (HEIGHT - 4.0));
        points
    })
}

/// Levels that a square may have: larger and stronger, so that colour alone tells nothing.
const LEVELS: usize = 5;
/// From one square to the next.
const CELL: f64 = 10.0;

/// A square for each value, row by row, the larger the more of the highest it has; nothing is a dot. All of one level are one path: a
/// page with thousands of them stays light.
pub fn squares(label: &str, values: &[u64], columns: usize) -> Markup {
    let (columns, top) = (columns.max(1), values.iter().copied().max().unwrap_or_default());
    let (width, height) = (columns as f64 * CELL, values.len().div_ceil(columns) as f64 * CELL);
    let mut paths = vec![String::new(); LEVELS + 1];
    for (at, value) in values.iter().enumerate() {
        let level = level(*value, top);
        paths[level].push_str(&square(at % columns, at / columns, level));
    }
    html! {
        svg class="squares" viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(label) {
            @for (level, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) { path class={ "level-" (level) } d=(path) {} }
        }
    }
}

/// 0 for nothing, and for little more than that 1.
fn level(value: u64, top: u64) -> usize {
    let part = u128::from(value) * LEVELS as u128;
    usize::try_from(part.div_ceil(u128::from(top.max(1)))).unwrap_or(LEVELS).min(LEVELS)
}

fn square(column: usize, row: usize, level: usize) -> String {
    let side = if level == 0 { 1.0 } else { 2.0 + 1.4 * level as f64 };
    let corner = |place: usize| place as f64 * CELL + (CELL - side) / 2.0;
    format!("M{:.1} {:.1}h{side:.1}v{side:.1}h-{side:.1}z", corner(column), corner(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_grows_with_its_part_of_the_highest_and_nothing_is_a_dot() {
        let levels = |values: &[u64]| values.iter().map(|value| level(*value, 100)).collect::<Vec<_>>();
        assert_eq!(levels(&[0, 1, 20, 21, 80, 81, 100]), [0, 1, 1, 2, 4, 5, 5]);
        assert_eq!((level(0, 0), level(u64::MAX, u64::MAX)), (0, LEVELS));
        let svg = squares("<x>", &[100, 0, 100], 2).into_string();
        assert!(svg.contains("0 0 20 20") && svg.contains("&lt;x&gt;") && !svg.contains("style="), "{svg}");
        let path = format!("{}{}", square(0, 0, 5), square(0, 1, 5));
        assert!(svg.contains(&format!("class=\"level-5\" d=\"{path}\"")) && svg.contains(&square(1, 0, 0)), "{svg}");
        assert!(!squares("", &[], 16).into_string().contains("path"));
    }

    #[test]
    fn the_highest_value_is_at_the_top_and_the_newest_at_the_right() {
        assert_eq!(points(&[0.0, 10.0, 5.0], 10.0), "0.0,120.0 300.0,4.0 600.0,62.0 ");
        assert_eq!(points(&[1.0], 1.0), "0.0,4.0 ");
    }

    #[test]
    fn a_plot_of_nothing_has_a_ground_and_no_line() {
        for values in [&[][..], &[0.0, 0.0]] {
            let svg = line("<x>", values).into_string();
            assert!(svg.contains("&lt;x&gt;") && !svg.contains("polyline") && !svg.contains("style="), "{svg}");
        }
    }
}

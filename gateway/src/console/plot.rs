//! Plots as SVG: a line over the last seconds.
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

#[cfg(test)]
mod tests {
    use super::*;

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

//! Plots as SVG: lines and stacked bars over time, percentiles over the distance to 100 %.
//!
//! Invariant: a plot is readable 360 px wide; colours come from the page, so that it follows light and dark.

use super::text::{escape, short};
use std::fmt::Write;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 42.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 34.0;

pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Across {
    Seconds,
    /// Of 100 %, each step as wide as the one before that is ten times as far away.
    Percentiles,
    /// Bar `n` has the `n`-th name; then what they are names of.
    Names(Vec<String>, &'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lines,
    /// Bars as wide as their points are apart, on each other.
    Stacked,
}

pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) across: Across,
    pub(crate) kind: Kind,
    pub(crate) logarithmic: bool,
    pub(crate) series: Vec<Series>,
}

impl Plot {
    /// Over time, in lines.
    pub(crate) fn over_time(title: &'static str, unit: &'static str, series: Vec<Series>) -> Self {
        Self { title, unit, across: Across::Seconds, kind: Kind::Lines, logarithmic: false, series }
    }

    pub(crate) fn logarithmic(self) -> Self {
        Self { logarithmic: true, ..self }
    }

    pub(crate) fn stacked(self) -> Self {
        Self { kind: Kind::Stacked, ..self }
    }

    /// A figure with title and legend; nothing if there is nothing to show.
    pub(crate) fn html(&self) -> String {
        let filled = self.series.iter().any(|series| series.points.iter().any(|(_, y)| *y > 0.0));
        if !filled {
            return String::new();
        }
        let key =
            |(number, series): (usize, &Series)| format!("<span><i class=\"c{number}\"></i>{}</span>", escape(&series.name));
        let shown = self.series.iter().enumerate().filter(|(_, series)| series.points.iter().any(|(_, y)| *y > 0.0));
        let keys: String = shown.map(key).collect();
        let (title, unit, svg) = (self.title, self.unit, self.svg());
        format!(
            "<figure><figcaption><b>{title}</b> <small>{unit}</small><div class=\"keys\">{keys}</div></figcaption>{svg}</figure>"
        )
    }

    fn svg(&self) -> String {
        let axes = Axes::of(self);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", self.title);
        svg.push_str(&axes.svg(&self.across));
        match self.kind {
            Kind::Lines => self.series.iter().enumerate().for_each(|(number, series)| line(&mut svg, &axes, number, series)),
            Kind::Stacked => bars(&mut svg, &axes, self.step(), &self.series),
        }
        svg + "</svg>"
    }

    /// From one bar to the next.
    fn step(&self) -> f64 {
        let points = self.series.first().map(|series| series.points.as_slice()).unwrap_or_default();
        points.first().zip(points.get(1)).map_or(1.0, |(one, next)| next.0 - one.0)
    }

    /// What the highest point, or the highest pile, is.
    fn top(&self) -> f64 {
        let all = || self.series.iter().flat_map(|series| &series.points);
        if self.kind == Kind::Lines {
            return all().map(|(_, y)| *y).fold(0.0, f64::max);
        }
        let longest = self.series.iter().map(|series| series.points.len()).max().unwrap_or_default();
        let pile = |at: usize| self.series.iter().filter_map(|series| series.points.get(at)).map(|(_, y)| *y).sum::<f64>();
        (0..longest).map(pile).fold(0.0, f64::max)
    }
}

struct Axes {
    x: (f64, f64),
    y: (f64, f64),
    logarithmic: bool,
}

impl Axes {
    fn of(plot: &Plot) -> Self {
        let points = || plot.series.iter().flat_map(|series| &series.points);
        let last = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let right = if plot.kind == Kind::Stacked { last + plot.step() } else { last.max(1.0) };
        let top = plot.top();
        if !plot.logarithmic {
            return Self { x: (0.0, right), y: (0.0, nice(top)), logarithmic: false };
        }
        let least = points().map(|(_, y)| *y).filter(|y| *y > 0.0).fold(top, f64::min);
        let y = (least.log10().floor(), top.log10().ceil().max(least.log10().floor() + 1.0));
        Self { x: (0.0, right), y, logarithmic: true }
    }

    fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        let y = if self.logarithmic { y.max(1e-9).log10().max(self.y.0) } else { y };
        HEIGHT - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn svg(&self, across: &Across) -> String {
        let mut svg = String::new();
        for value in self.rows() {
            let y = self.y(value);
            let (label, right) = (short(value), WIDTH - RIGHT);
            write!(svg, "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>").expect("a string takes all");
            write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" class=\"end\">{label}</text>", LEFT - 5.0, y + 3.5)
                .expect("a string takes all");
        }
        for (at, label) in self.columns(across) {
            let (x, y) = (self.x(at), HEIGHT - BOTTOM + 13.0);
            write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"middle\">{label}</text>").expect("a string takes all");
        }
        let name = match across {
            Across::Seconds => "seconds",
            Across::Percentiles => "percentile",
            Across::Names(_, of) => of,
        };
        let (x, y) = (WIDTH - RIGHT, HEIGHT - 5.0);
        svg + &format!("<text x=\"{x}\" y=\"{y}\" class=\"end\">{name}</text>")
    }

    fn rows(&self) -> Vec<f64> {
        if self.logarithmic {
            return (self.y.0 as i32..=self.y.1 as i32).map(|power| 10_f64.powi(power)).collect();
        }
        (0..=4).map(|part| self.y.1 * f64::from(part) / 4.0).collect()
    }

    fn columns(&self, across: &Across) -> Vec<(f64, String)> {
        match across {
            Across::Seconds => {
                let step = nice(self.x.1 / 5.0).max(1.0);
                (0..=5).map(|number| f64::from(number) * step).filter(|at| *at <= self.x.1).map(|at| (at, short(at))).collect()
            }
            Across::Percentiles => {
                let known = [("0", 0.0), ("90", 90.0), ("99", 99.0), ("99.9", 99.9), ("99.99", 99.99), ("99.999", 99.999)];
                let all = known.into_iter().map(|(name, percentile)| (distance(percentile), name.to_owned()));
                all.filter(|(at, _)| *at <= self.x.1).collect()
            }
            Across::Names(names, _) => names.iter().enumerate().map(|(at, name)| (at as f64 + 0.5, escape(name))).collect(),
        }
    }
}

/// Where a percentile is across: how often the rest of 100 % was divided by ten.
pub(crate) fn distance(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

/// The next round number above.
fn nice(value: f64) -> f64 {
    let scale = 10_f64.powf(value.max(1e-9).log10().floor());
    let round = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0].into_iter().find(|step| step * scale >= value * 0.999);
    round.unwrap_or(10.0) * scale
}

fn line(svg: &mut String, axes: &Axes, number: usize, series: &Series) {
    let shown = series.points.iter().filter(|(_, y)| !axes.logarithmic || *y > 0.0);
    let points: Vec<(f64, f64)> = shown.map(|(x, y)| (axes.x(*x), axes.y(*y))).collect();
    let name = escape(&series.name);
    // A line of one point is not drawn.
    let drawn = if let [(x, y)] = points[..] {
        write!(svg, "<circle class=\"c{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{name}</title></circle>")
    } else {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        write!(svg, "<polyline class=\"c{number}\" points=\"{}\"><title>{name}</title></polyline>", path.join(" "))
    };
    drawn.expect("a string takes all");
}

fn bars(svg: &mut String, axes: &Axes, step: f64, series: &[Series]) {
    let longest = series.iter().map(|series| series.points.len()).max().unwrap_or_default();
    let width = (axes.x(step) - axes.x(0.0)) * 0.9;
    for at in 0..longest {
        let mut below = 0.0;
        for (number, series) in series.iter().enumerate() {
            let Some((x, y)) = series.points.get(at).filter(|(_, y)| *y > 0.0) else { continue };
            let (top, bottom) = (axes.y(below + y), axes.y(below));
            below += y;
            let (left, height) = (axes.x(*x), bottom - top);
            let told = format!("{} {}, {x}", short(*y), escape(&series.name));
            let bar = format!("x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
            write!(svg, "<rect class=\"c{number}\" {bar}><title>{told}</title></rect>").expect("a string takes all");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: Vec<(f64, f64)>) -> String {
        Plot::over_time("Throughput", "orders a second", vec![Series { name: "accepted".to_owned(), points }]).html()
    }

    #[test]
    fn what_lasts_a_second_is_seen_as_a_point_and_what_lasts_longer_as_a_line() {
        let (point, line) = (drawn(vec![(0.0, 7.0)]), drawn(vec![(0.0, 7.0), (1.0, 9.0)]));
        assert!(point.contains("<circle") && !point.contains("<polyline"), "{point}");
        assert!(line.contains("<polyline") && !line.contains("<circle"), "{line}");
    }
}

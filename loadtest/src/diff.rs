//! Two runs, or two sets of them, beside each other: ratios with intervals, and whether there is a difference at all.
//!
//! Invariant: what is drawn again and again is whole blocks of seconds, and whole runs where there are several, because a second is like
//! the one before. A ratio counts as a difference only where its interval leaves 1 out.

use crate::random::Random;
use crate::record::Class;
use crate::summary::{BySecond, FILE, Summary, percentile_of};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// How often runs are put together anew from their blocks.
const DRAWS: usize = 2000;
/// A run is cut into so many blocks, of a second at least.
const BLOCKS: usize = 20;
/// Of an interval. Three ratios are looked at, and a false alarm costs a day.
const LEVEL: f64 = 0.99;
/// Latencies of a second are kept to two digits.
const ROUNDING: f64 = 0.01;

/// Some seconds in a row, latencies by the number of their value.
struct Block {
    latency: Vec<(usize, u64)>,
    accepted: u64,
    seconds: f64,
}

/// Runs of one build.
struct Side {
    runs: Vec<Vec<Block>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    NoDifference,
    Better,
    Worse,
}

/// One figure of both.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    pub name: &'static str,
    pub before: f64,
    pub after: f64,
    pub ratio: f64,
    pub least: f64,
    pub most: f64,
    pub verdict: Verdict,
}

/// What two sides come to.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    pub ratios: Vec<Ratio>,
    /// What to think of before they are believed.
    pub cautions: Vec<String>,
}

/// Median and 99th percentile in milliseconds, accepted orders a second.
type Figures = [f64; 3];
const NAMES: [&str; 3] = ["p50 of accepted orders, ms", "p99 of accepted orders, ms", "orders accepted a second"];

/// The runs below a directory: itself, or the directories in it.
///
/// # Errors
/// If there are none, or one cannot be read.
pub fn runs(path: &Path) -> Result<Vec<Summary>, String> {
    if !path.is_dir() || path.join(FILE).exists() {
        return Ok(vec![Summary::read(path)?]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|dir| dir.join(FILE).exists()).collect();
    found.sort();
    if found.is_empty() {
        return Err(format!("{}: there is no {FILE}, and no directory with one", path.display()));
    }
    found.iter().map(|dir| Summary::read(dir)).collect()
}

/// # Errors
/// If there is nothing to compare.
pub fn compare(before: &[Summary], after: &[Summary]) -> Result<Diff, String> {
    let seconds = |side: &[Summary]| side.iter().map(|run| counted(run).to_vec()).collect::<Vec<_>>();
    let mut diff = of_seconds(&seconds(before), &seconds(after))?;
    diff.cautions.extend(cautions(before, after));
    Ok(diff)
}

/// Seconds in which the load was on. The last may be a part of one.
fn counted(run: &Summary) -> &[BySecond] {
    let whole = (run.scenario.seconds.min(run.seconds) as usize).clamp(1, run.by_second.len().max(1));
    &run.by_second[..whole.min(run.by_second.len())]
}

fn cautions(before: &[Summary], after: &[Summary]) -> Vec<String> {
    let all = || before.iter().chain(after);
    let single = before.len().min(after.len()) < 2;
    let single = single.then(|| {
        "one run on a side: what differs from run to run is not in the intervals; compare directories of several".to_owned()
    });
    let invalid = all().filter(|run| !run.invalid.is_empty()).count();
    let invalid = (invalid > 0).then(|| format!("{invalid} of the runs are not valid: the generator was late"));
    let same = |of: fn(&Summary) -> String| all().all(|run| of(run) == of(&before[0]));
    let load = |run: &Summary| toml::to_string(&run.scenario).unwrap_or_default();
    let scenario = (!same(load)).then(|| "the runs are of different loads".to_owned());
    let machine = |run: &Summary| format!("{} {} {}", run.machine.processor, run.machine.cores, run.machine.kernel);
    let machine = (!same(machine)).then(|| "the runs are of different machines".to_owned());
    [single, invalid, scenario, machine].into_iter().flatten().collect()
}

/// # Errors
/// If a side has no accepted order.
pub fn of_seconds(before: &[Vec<BySecond>], after: &[Vec<BySecond>]) -> Result<Diff, String> {
    let all = before.iter().chain(after).flatten();
    let values: BTreeMap<u64, usize> = all.flat_map(|second| &second.latency).map(|(value, _)| (*value, 0)).collect();
    let values: BTreeMap<u64, usize> = values.into_keys().zip(0..).collect();
    let known: Vec<u64> = values.keys().copied().collect();
    let [before, after] = [before, after].map(|runs| Side { runs: runs.iter().map(|run| blocks(run, &values)).collect() });
    let whole = [&before, &after].map(|side| figures(side.runs.iter().flatten(), &known));
    let [Some(one), Some(other)] = whole else {
        return Err("a side has no accepted order: there is nothing to compare".to_owned());
    };
    let mut random = Random::new(1, 0);
    let mut draws: [Vec<f64>; 3] = Default::default();
    for _ in 0..DRAWS {
        let drawn = [&before, &after].map(|side| figures(side.draw(&mut random).into_iter(), &known));
        if let [Some(one), Some(other)] = drawn {
            draws.iter_mut().enumerate().for_each(|(figure, draws)| draws.push(other[figure] / one[figure]));
        }
    }
    let ratios = draws.into_iter().enumerate().map(|(figure, draws)| ratio(figure, one[figure], other[figure], draws));
    Ok(Diff { ratios: ratios.collect(), cautions: Vec::new() })
}

fn blocks(seconds: &[BySecond], values: &BTreeMap<u64, usize>) -> Vec<Block> {
    let length = (seconds.len() / BLOCKS).max(1);
    let block = |seconds: &[BySecond]| {
        let latency = seconds.iter().flat_map(|second| &second.latency).map(|(value, count)| (values[value], *count)).collect();
        let accepted = seconds.iter().map(|second| second.done[Class::Accepted as usize]).sum();
        Block { latency, accepted, seconds: seconds.len() as f64 }
    };
    seconds.chunks(length).map(block).collect()
}

impl Side {
    /// As many blocks as there are, of as many runs, each drawn anew.
    fn draw(&self, random: &mut Random) -> Vec<&Block> {
        let mut drawn = Vec::new();
        for _ in &self.runs {
            let run = &self.runs[random.below(self.runs.len() as u64) as usize];
            drawn.extend((0..run.len()).map(|_| &run[random.below(run.len() as u64) as usize]));
        }
        drawn
    }
}

fn figures<'a>(blocks: impl Iterator<Item = &'a Block>, values: &[u64]) -> Option<Figures> {
    let (mut counts, mut accepted, mut seconds) = (vec![0; values.len()], 0, 0.0);
    for block in blocks {
        block.latency.iter().for_each(|(value, count)| counts[*value] += count);
        (accepted, seconds) = (accepted + block.accepted, seconds + block.seconds);
    }
    let counts: Vec<(u64, u64)> = values.iter().copied().zip(counts).collect();
    let at = |percentile| percentile_of(&counts, percentile).map(|micros| micros as f64 / 1000.0);
    (accepted > 0).then_some([at(50.0)?, at(99.0)?, accepted as f64 / seconds])
}

fn ratio(figure: usize, before: f64, after: f64, mut draws: Vec<f64>) -> Ratio {
    draws.sort_by(f64::total_cmp);
    let at = |part: f64| draws.get((draws.len() as f64 * part) as usize).or(draws.last()).copied().unwrap_or(1.0);
    let (is_latency, rest) = (figure < 2, (1.0 - LEVEL) / 2.0);
    let rounding = if is_latency { ROUNDING } else { 0.0 };
    let (least, most) = (at(rest) * (1.0 - rounding), at(1.0 - rest) * (1.0 + rounding));
    let verdict = match (most < 1.0, least > 1.0) {
        (false, false) => Verdict::NoDifference,
        (less, _) if less == is_latency => Verdict::Better,
        _ => Verdict::Worse,
    };
    Ratio { name: NAMES[figure], before, after, ratio: after / before, least, most, verdict }
}

impl Diff {
    pub fn text(&self) -> String {
        let mut text = format!("{:<28} {:>10} {:>10}  ratio (99 % interval)\n", "", "before", "after");
        for Ratio { name, before, after, ratio, least, most, verdict } in &self.ratios {
            let verdict = match verdict {
                Verdict::NoDifference => "no difference",
                Verdict::Better => "better",
                Verdict::Worse => "worse",
            };
            let line = writeln!(text, "{name:<28} {before:>10.2} {after:>10.2}  {ratio:.3} ({least:.3} to {most:.3})  {verdict}");
            line.expect("a string takes all");
        }
        self.cautions.iter().for_each(|caution| writeln!(text, "note: {caution}").expect("a string takes all"));
        text
    }
}

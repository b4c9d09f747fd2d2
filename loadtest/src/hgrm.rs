//! The percentile format of HdrHistogram, which its plotter and other tools read.

use hdrhistogram::Histogram;
use std::fmt::Write;

/// Steps between two halvings of the distance to 100 %.
const TICKS: u32 = 5;
/// A value in microseconds is shown in milliseconds.
const SCALE: f64 = 1000.0;

/// The table of a histogram of microseconds, in milliseconds.
pub fn table(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut counted = 0;
    for step in histogram.iter_quantiles(TICKS) {
        counted += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / SCALE, step.quantile_iterated_to());
        let line = if quantile < 1.0 {
            writeln!(text, "{value:12.3} {quantile:14.12} {counted:>10} {:14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(text, "{value:12.3} {quantile:14.12} {counted:>10}")
        };
        line.expect("a string takes all");
    }
    let (mean, deviation) = (histogram.mean() / SCALE, histogram.stdev() / SCALE);
    let (max, buckets) = (histogram.max() as f64 / SCALE, histogram.buckets());
    let foot = format!(
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n#[Max     = {max:12.3}, Total count    = {:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {:12}]\n",
        histogram.len(),
        histogram.distinct_values().next_power_of_two()
    );
    text + &foot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_at_all_values_and_names_the_slowest() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
        (1..=1000).for_each(|value| histogram.record(value * 1000).unwrap());
        let text = table(&histogram);
        let rows: Vec<Vec<&str>> =
            text.lines().filter(|line| !line.starts_with('#')).skip(2).map(|line| line.split_whitespace().collect()).collect();
        let half = rows.iter().find(|row| row[1].starts_with("0.5000")).unwrap();
        assert!((half[0].parse::<f64>().unwrap() - 500.0).abs() < 1.0, "{half:?}");
        assert_eq!(rows.last().unwrap()[1..], ["1.000000000000", "1000"]);
        assert!(text.contains("Total count    =         1000"));
    }
}

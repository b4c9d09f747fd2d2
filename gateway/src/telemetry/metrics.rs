//! The metrics of the process, and what `/metrics` answers.
//!
//! Invariant: every metric that is emitted is described: see [`super::table`].

use super::table::{Kind, METRICS};
use super::tally::ANSWERS;
use crate::settings::Telemetry;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;

/// Seconds, from a fast sync to a client's patience.
pub const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// What `/metrics` answers: what was recorded, and the counts of requests.
#[derive(Clone)]
pub struct Exposition {
    recorded: PrometheusHandle,
    /// Names of before too.
    old_names: bool,
}

impl Exposition {
    pub fn new(recorded: PrometheusHandle, settings: &Telemetry) -> Self {
        Self { recorded, old_names: settings.old_names }
    }

    /// The Prometheus text of now.
    pub fn render(&self) -> String {
        ANSWERS.publish();
        let text = self.recorded.render() + &ANSWERS.latencies(SECONDS);
        if self.old_names { with_old_names(text) } else { text }
    }

    /// Histograms grow until they are drained: the exporter leaves that to us.
    pub async fn upkeep(self) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            self.recorded.run_upkeep();
        }
    }
}

/// # Errors
/// If a recorder is installed already.
pub fn start(settings: &Telemetry) -> Result<Exposition, BuildError> {
    let recorded = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), SIZES)?
        .install_recorder()?;
    describe();
    metrics::gauge!("holdfast_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Exposition::new(recorded, settings))
}

/// Counters without labels are there from the start, at 0: whoever alerts on a first increase needs a value before it.
fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => {
                describe_counter!(metric.name, metric.help);
                if metric.labels.is_empty() {
                    metrics::counter!(metric.name).absolute(0);
                }
            }
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Each family that was renamed once more, under the name it had before.
fn with_old_names(mut text: String) -> String {
    let (mut old, mut family) = (String::new(), None);
    for line in text.lines() {
        let comment = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = comment.and_then(|comment| comment.split(' ').next());
        if let Some(name) = name {
            family = METRICS.iter().find(|metric| metric.name == name).and_then(|metric| Some((name, metric.old_name()?)));
        }
        if let Some((name, old_name)) = family {
            old.push_str(&line.replacen(name, old_name, 1));
            old.push('\n');
        }
    }
    text.push_str(&old);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_was_renamed_is_there_under_both_names_and_no_other() {
        let text = "# HELP holdfast_orders_total answers\n# TYPE holdfast_orders_total counter\nholdfast_orders_total{outcome=\"placed\"} 2\n\n\
             # TYPE holdfast_build_info gauge\nholdfast_build_info{version=\"1\"} 1\n\n\
             # TYPE holdfast_journal_sync_seconds histogram\nholdfast_journal_sync_seconds_bucket{le=\"1\"} 3\nholdfast_journal_sync_seconds_count 3\n\n";
        let old = "# HELP orders_total answers\n# TYPE orders_total counter\norders_total{outcome=\"placed\"} 2\n\n\
             # TYPE journal_sync_seconds histogram\njournal_sync_seconds_bucket{le=\"1\"} 3\njournal_sync_seconds_count 3\n\n";
        assert_eq!(with_old_names(text.to_owned()), format!("{text}{old}"));
    }
}

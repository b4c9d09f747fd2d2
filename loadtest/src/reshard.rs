//! Another number of shards, again and again, while orders come by the clock.
//!
//! Invariant: the load that moves and the loads that stand still are the same but for their keys, and every one of them is audited.

mod histogram;
mod outcome;
mod steering;

use crate::audit::{self, Audit};
use crate::buyer::Shop;
use crate::drive;
use crate::http::Target;
use crate::record::Class;
use crate::run::{measure, prepare, raise_file_limit, verify};
use crate::scenario::{Scenario, ServerSettings};
use crate::server::Server;
use clap::Args;
use histogram::Histograms;
use outcome::{Limits, Moving, Outcome, Still};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use steering::Steering;

/// Part of what the server takes with the number of shards that takes the least.
const LOAD: f64 = 0.6;
/// Units of each SKU: nobody runs out.
const UNITS: u64 = 100_000_000;

#[derive(Args)]
pub(crate) struct Options {
    /// Numbers of shards, one after the other, each for an equal part of the time.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,4,16,8,1", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Vec<u32>,
    /// How long the shards change.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// How long the load is put on each number of shards standing still. Left out, as long as a step.
    #[arg(long, value_name = "SECONDS")]
    still: Option<f64>,
    /// Orders a second. Left out, 60 % of what is measured with 128 buyers one after the other, for the number of shards that takes the
    /// least.
    #[arg(long)]
    rate: Option<f64>,
    /// A server that runs already, without other buyers; it has its number of shards back at the end. Left out, one is started, and its
    /// journal is verified.
    #[arg(long)]
    url: Option<String>,
    /// API key, if that server wants one: of an admin.
    #[arg(long, env = "HOLDFAST_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The program to start; left out, the `holdfast` beside this one.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    server: Option<PathBuf>,
    /// Where its data is made, on the disk to be measured; gone at the end. Left out, the temporary directory.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_in: Option<PathBuf>,
    /// The longest pause of one partition in a hundred.
    #[arg(long, value_name = "MS", default_value_t = 10.0)]
    most_pause_ms: f64,
    /// p99 of orders while the shards change, of the worst standing still, at most.
    #[arg(long, value_name = "RATIO", default_value_t = 2.0)]
    most_ratio: f64,
    /// Exit with 0 although the generator was late, where only the audit matters.
    #[arg(long)]
    pub(crate) allow_late: bool,
}

impl Options {
    fn scenario(&self) -> Result<Scenario, String> {
        let (load, seconds) = match self.rate {
            Some(rate) => (format!("rate = {rate:?}"), self.seconds),
            None => (format!("times_capacity = {LOAD:?}"), self.seconds),
        };
        Scenario::parse(&format!(
            "name = \"reshard\"\nabout = \"\"\nseconds = {seconds:?}\n[load]\nshape = \"constant\"\narrivals = \"poisson\"\n{load}\n\
             [stock]\nskus = 1000\nunits = {UNITS}\n[buyers]\nbasket = [1, 2]\nconfirms = 0.3\ncancels = 0.2\n"
        ))
    }

    fn still_seconds(&self) -> f64 {
        self.still.unwrap_or(self.seconds / self.steps.len() as f64)
    }

    /// Each number of shards once.
    fn numbers(&self) -> Vec<u32> {
        let mut numbers = self.steps.clone();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn limits(&self) -> Limits {
        Limits { pause_ms: self.most_pause_ms, ratio: self.most_ratio }
    }
}

/// Runs it to its audit.
///
/// # Errors
/// If there is no server, it does not answer, or it cannot have so many shards.
pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    let (binary, dir, none) = (options.server.as_deref(), options.data_in.as_deref(), ServerSettings::default());
    let mut server = if options.url.is_some() { None } else { Some(Server::start(binary, dir, &none)?) };
    let url = options.url.clone().or(server.as_ref().map(Server::url)).unwrap_or_default();
    let target = Target::parse(&url, options.key.as_deref())?;
    let mut outcome = runtime.block_on(measured(options, &target, server.is_none()))?;
    if let Some(server) = &mut server {
        verify(server, &mut outcome.audit);
    }
    Ok(outcome)
}

async fn measured(options: &Options, target: &Target, audits_itself: bool) -> Result<Outcome, String> {
    let (mut scenario, mut notes, steering) = (options.scenario()?, Vec::new(), Steering::new(target.clone()));
    let before = steering.shards().await?;
    if options.rate.is_none() {
        scenario.load.rate = highest_rate(&scenario, &options.numbers(), &steering, &mut notes).await?;
        scenario.load.times_capacity = 0.0;
    }
    let (mut still, mut audit) = (Vec::new(), Audit::default());
    for shards in options.numbers() {
        steering.steer(shards).await?;
        let (one, found) = standing(&scenario, options.still_seconds(), target, shards).await?;
        still.push(one);
        audit.findings.extend(found.findings);
    }
    steering.steer(options.steps[0]).await?;
    let shop = prepare(&scenario, target).await?;
    let moving = moving(&shop, &scenario, &options.steps, &steering).await?;
    let audited = audit::run(&shop, UNITS, audits_itself).await?;
    audit = Audit { findings: [audit.findings, audited.findings.clone()].concat(), ..audited };
    steering.steer(before).await?;
    Ok(Outcome::of(&options.steps, still, moving, audit, (notes, options.limits())))
}

/// The rate that no number of shards takes for more than its part of what it could do: another number is not to be compared with one that
/// has too much to do already.
async fn highest_rate(scenario: &Scenario, numbers: &[u32], steering: &Steering, notes: &mut Vec<String>) -> Result<f64, String> {
    let mut highest = f64::INFINITY;
    for shards in numbers {
        steering.steer(*shards).await?;
        let (mut measured, mut said) = (scenario.clone(), Vec::new());
        measure(&mut measured, &steering.target, &mut said).await?;
        highest = highest.min(measured.load.rate);
        notes.extend(said.into_iter().map(|said| format!("{shards} shards: {said}")));
    }
    Ok(highest)
}

/// The load on one number of shards that does not change.
async fn standing(scenario: &Scenario, seconds: f64, target: &Target, shards: u32) -> Result<(Still, Audit), String> {
    let scenario = Scenario { seconds, ..scenario.clone() };
    let shop = prepare(&scenario, target).await?;
    drive::run(shop.clone(), &scenario, Arc::default()).await?;
    let p99_ms = shop.record().percentile(Class::Accepted, 99.0).unwrap_or_default();
    let audit = audit::run(&shop, UNITS, false).await?;
    Ok((Still { shards, p99_ms }, audit))
}

async fn moving(shop: &Arc<Shop>, scenario: &Scenario, steps: &[u32], steering: &Steering) -> Result<Moving, String> {
    let before = Histograms::of(&steering.target).await?;
    let driving = tokio::spawn({
        let (shop, scenario) = (shop.clone(), scenario.clone());
        async move { drive::run(shop, &scenario, Arc::default()).await }
    });
    let mut moves = 0;
    for (number, shards) in steps.iter().enumerate().skip(1) {
        let part = number as f64 / steps.len() as f64;
        tokio::time::sleep_until(shop.start + Duration::from_secs_f64(scenario.seconds * part)).await;
        moves += steering.steer(*shards).await?;
    }
    driving.await.map_err(|error| error.to_string())??;
    let seconds = shop.start.elapsed().as_secs_f64();
    let histograms = Histograms::of(&steering.target).await?.since(&before);
    Ok(Moving::of(&shop.record(), scenario, (seconds, moves), &histograms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn of(arguments: &[&str]) -> Options {
        Line::try_parse_from([&["reshard"], arguments].concat()).unwrap_or_else(|error| panic!("{error}")).options
    }

    #[test]
    fn each_step_has_an_equal_part_of_a_minute_and_each_number_stands_still_once() {
        let options = of(&[]);
        assert_eq!((options.still_seconds(), options.numbers()), (12.0, vec![1, 4, 8, 16]));
        assert!(options.scenario().is_ok_and(|scenario| scenario.load.times_capacity == LOAD && scenario.units() == UNITS));
        let options = of(&["--steps", "2,3", "--rate", "50", "--seconds", "4", "--still", "1"]);
        assert_eq!((options.still_seconds(), options.numbers()), (1.0, vec![2, 3]));
        assert!(options.scenario().is_ok_and(|scenario| scenario.load.rate == 50.0));
    }

    #[test]
    fn no_shards_are_no_step() {
        assert!(Line::try_parse_from(["reshard", "--steps", "1,0"]).is_err());
    }
}

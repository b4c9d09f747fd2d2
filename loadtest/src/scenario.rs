//! A scenario: how buyers arrive, what they do, what is in stock, how the server is set, and what is called too slow. Read from TOML.
//!
//! Invariant: a scenario that was read makes sense; unknown keys are refused, so that a mistyped one is not silently a default.

use crate::shape::Rate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Those that come with the program, in the order in which one meets them.
const BUILT_IN: [&str; 10] = [
    include_str!("../scenarios/smoke.toml"),
    include_str!("../scenarios/average.toml"),
    include_str!("../scenarios/spike.toml"),
    include_str!("../scenarios/flash.toml"),
    include_str!("../scenarios/soak.toml"),
    include_str!("../scenarios/breakpoint.toml"),
    include_str!("../scenarios/abandon.toml"),
    include_str!("../scenarios/double-submit.toml"),
    include_str!("../scenarios/restart.toml"),
    include_str!("../scenarios/overload.toml"),
];

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    pub seconds: f64,
    /// Numbers everything random.
    #[serde(default = "one")]
    pub seed: u64,
    pub load: Load,
    #[serde(default)]
    pub stock: Stock,
    #[serde(default)]
    pub buyers: Buyers,
    #[serde(default)]
    pub server: ServerSettings,
    #[serde(default)]
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `rate` all the time.
    Constant,
    /// From `rate` to `peak`.
    Ramp,
    /// `rate`, and `peak` from `spike_at` on for `spike_for`.
    Spike,
    /// `buyers` at once, each with a connection that is open already.
    Crowd,
    /// `connections` buyers, each as soon as the one before is answered. Finds what the server takes, not how long orders wait.
    Closed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    #[default]
    Even,
    Poisson,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    pub shape: Shape,
    /// Orders a second.
    #[serde(default)]
    pub rate: f64,
    #[serde(default)]
    pub peak: f64,
    /// Parts of the run.
    #[serde(default)]
    pub spike_at: f64,
    #[serde(default)]
    pub spike_for: f64,
    #[serde(default)]
    pub arrivals: Spread,
    #[serde(default)]
    pub buyers: u64,
    /// Open connections at most; a buyer who finds none waits, and that is latency.
    #[serde(default = "connections")]
    pub connections: usize,
    /// First measures for `measure_seconds`, with a closed loop, what the server takes; then the rate is so many times that.
    #[serde(default)]
    pub times_capacity: f64,
    #[serde(default = "measure_seconds")]
    pub measure_seconds: f64,
    /// So many buyers one after the other: enough to keep the server busy, and fewer than it turns away.
    #[serde(default = "measure_connections")]
    pub measure_connections: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stock {
    pub skus: u64,
    /// Of each SKU. Left out, `share` says how many.
    pub units: Option<u64>,
    /// Units there are of what will be asked for.
    pub share: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buyers {
    /// Share of lines that are of the first SKU; the rest is spread.
    pub hot: f64,
    /// Exponent of Zipf's law over the SKUs; 0 spreads them evenly.
    pub zipf: f64,
    /// Lines of an order, least and most.
    pub basket: (u64, u64),
    /// Units of a line, least and most.
    pub quantity: (u64, u64),
    /// Shares of orders that are paid through the sandbox, confirmed, cancelled, and left to expire. The rest stays held.
    pub pays: f64,
    pub confirms: f64,
    pub cancels: f64,
    pub abandons: f64,
    /// Between an order and what becomes of it.
    pub pause_ms: u64,
    /// Seconds that orders are held, and those that are left to expire.
    pub hold_seconds: u64,
    pub abandon_seconds: u64,
    /// Share of orders that are sent more than once at the same time, how often, and which share of copies has another body.
    pub repeats: f64,
    pub copies: u64,
    pub other_body: f64,
    /// How often a buyer sends a request that was not executed, or not answered, with the same key.
    pub tries: u32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Settings of a server that is started for the run, as `"engine.credits" = 256`.
    pub settings: BTreeMap<String, toml::Value>,
    /// Part of the run after which it is killed and started again.
    pub kill_at: Option<f64>,
    /// Each sync of its journal takes so much longer: a slow disk. By strace.
    pub sync_delay_ms: u64,
}

/// A run that breaks one fails. The breakpoint stops there instead.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of accepted orders.
    pub p99_ms: Option<f64>,
    /// Of refusals: out of stock.
    pub refused_p99_ms: Option<f64>,
    /// Of 503.
    pub turned_away_p99_ms: Option<f64>,
    /// Share of orders that were neither accepted nor refused.
    pub failed: Option<f64>,
    /// p99 of the last quarter of the run, of that of the first.
    pub drift: Option<f64>,
    /// Memory of the server at the end beyond that after a quarter of the run.
    pub growth_mb: Option<f64>,
    /// Accepted orders a second of what was measured to be taken (`times_capacity`).
    pub goodput: Option<f64>,
    /// The ramp ends at the first second that breaks `p99_ms` or `failed`, and that is the result.
    pub stop: bool,
}

fn one() -> u64 {
    1
}

fn connections() -> usize {
    256
}

fn measure_seconds() -> f64 {
    5.0
}

fn measure_connections() -> usize {
    128
}

impl Default for Stock {
    fn default() -> Self {
        Self { skus: 100, units: None, share: 2.0 }
    }
}

impl Default for Buyers {
    fn default() -> Self {
        let (pays, confirms, cancels, abandons) = (0.0, 0.0, 0.0, 0.0);
        Self {
            hot: 0.0,
            zipf: 0.0,
            basket: (1, 1),
            quantity: (1, 1),
            pays,
            confirms,
            cancels,
            abandons,
            pause_ms: 0,
            hold_seconds: 900,
            abandon_seconds: 2,
            repeats: 0.0,
            copies: 1,
            other_body: 0.0,
            tries: 1,
        }
    }
}

impl Scenario {
    /// # Errors
    /// Says what in it is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        scenario.check()?;
        Ok(scenario)
    }

    pub fn built_in() -> Vec<Self> {
        BUILT_IN.iter().map(|text| Self::parse(text).expect("a built-in scenario is read by a test")).collect()
    }

    /// One that comes with the program, or a file.
    ///
    /// # Errors
    /// If there is none, or it makes no sense.
    pub fn find(name: &str) -> Result<Self, String> {
        if let Some(found) = Self::built_in().into_iter().find(|scenario| scenario.name == name) {
            return Ok(found);
        }
        if !Path::new(name).exists() {
            return Err(format!("there is no scenario {name} and no such file; `loadtest list` shows the scenarios"));
        }
        let text = std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
        Self::parse(&text).map_err(|error| format!("{name}: {error}"))
    }

    /// # Errors
    /// Says what makes no sense.
    pub fn check(&self) -> Result<(), String> {
        let Self { load, stock, buyers, .. } = self;
        let shares = buyers.pays + buyers.confirms + buyers.cancels + buyers.abandons;
        let needs_rate = !matches!(load.shape, Shape::Crowd | Shape::Closed) && load.times_capacity <= 0.0;
        let wrong = [
            (!(0.1..=86_400.0).contains(&self.seconds), "seconds must be 0.1 to 86400"),
            (needs_rate && load.rate <= 0.0, "load.rate must be above 0"),
            (matches!(load.shape, Shape::Ramp | Shape::Spike) && load.peak <= 0.0, "load.peak must be above 0"),
            (load.shape == Shape::Spike && load.spike_for <= 0.0, "load.spike_for must be above 0"),
            (load.spike_at + load.spike_for > 1.0, "load.spike_at and load.spike_for are parts of the run"),
            (load.shape == Shape::Crowd && load.buyers == 0, "load.buyers must be above 0"),
            (load.connections == 0, "load.connections must be above 0"),
            (stock.skus == 0 || stock.skus > 1_000_000, "stock.skus must be 1 to 1000000"),
            (buyers.basket.0 == 0 || buyers.basket.0 > buyers.basket.1, "buyers.basket is least and most"),
            (buyers.basket.1 > stock.skus, "buyers.basket has more lines than there are SKUs"),
            (buyers.quantity.0 == 0 || buyers.quantity.0 > buyers.quantity.1, "buyers.quantity is least and most"),
            (shares > 1.0 + 1e-9, "pays, confirms, cancels and abandons are shares of one whole"),
            (buyers.tries == 0, "buyers.tries must be above 0"),
        ];
        wrong.iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, message)| Err((*message).to_owned()))
    }

    /// Another rate, with its peak in proportion, and another length.
    pub fn scale(&mut self, rate: Option<f64>, seconds: Option<f64>) {
        if let Some(rate) = rate {
            let grown = if self.load.rate > 0.0 { rate / self.load.rate } else { 1.0 };
            (self.load.rate, self.load.peak, self.load.times_capacity) = (rate, self.load.peak * grown, 0.0);
        }
        self.seconds = seconds.unwrap_or(self.seconds);
    }

    /// Of an open loop.
    pub fn rate(&self) -> Rate {
        let Load { rate, peak, spike_at, spike_for, .. } = self.load;
        match self.load.shape {
            Shape::Ramp => Rate::ramp(rate, peak, self.seconds),
            Shape::Spike => {
                Rate::spike(rate, peak, (spike_at * self.seconds, (spike_at + spike_for) * self.seconds), self.seconds)
            }
            Shape::Constant | Shape::Crowd | Shape::Closed => Rate::constant(rate, self.seconds),
        }
    }

    /// Seed of the arrivals, if they are random.
    pub fn arrival_seed(&self) -> Option<u64> {
        (self.load.arrivals == Spread::Poisson).then_some(self.seed)
    }

    /// Orders that will be placed, as far as that can be known; without a rate, as many as a fast server takes.
    fn demand(&self) -> f64 {
        const FAST: f64 = 100_000.0;
        match self.load.shape {
            Shape::Crowd => self.load.buyers as f64,
            Shape::Closed => FAST * self.seconds,
            Shape::Constant | Shape::Ramp | Shape::Spike if self.load.times_capacity > 0.0 => FAST * self.seconds,
            Shape::Constant | Shape::Ramp | Shape::Spike => self.rate().total(),
        }
    }

    /// Units of each SKU.
    pub fn units(&self) -> u64 {
        let middle = |(least, most): (u64, u64)| (least + most) as f64 / 2.0;
        let asked = self.demand() * middle(self.buyers.basket) * middle(self.buyers.quantity);
        let shared = (asked * self.stock.share / self.stock.skus as f64).ceil().max(1.0) as u64;
        self.stock.units.unwrap_or(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_makes_sense_and_has_a_name_of_its_own() {
        let mut names: Vec<String> = BUILT_IN.iter().map(|text| Scenario::parse(text).unwrap().name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), BUILT_IN.len());
    }

    #[test]
    fn a_mistyped_key_and_shares_above_one_are_refused() {
        let smoke = BUILT_IN[0];
        let refused = |text: String| Scenario::parse(&text).unwrap_err();
        assert!(refused(smoke.replace("rate =", "rat =")).contains("rat"));
        assert!(refused(smoke.replace("confirms = 0.2", "confirms = 0.95")).contains("one whole"));
    }

    #[test]
    fn another_rate_takes_the_peak_with_it() {
        let mut spike = Scenario::find("spike").unwrap();
        let before = spike.load.peak / spike.load.rate;
        spike.scale(Some(30.0), Some(4.0));
        assert!((spike.load.peak / 30.0 - before).abs() < 1e-9);
        assert!(spike.seconds < 5.0);
    }
}

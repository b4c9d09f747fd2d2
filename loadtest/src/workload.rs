//! What each buyer wants and does, decided before he comes.
//!
//! Invariant: buyer `n` of a seed always wants the same, under the same key: what became of a request that was lost can be asked again.

use crate::random::Random;
use crate::scenario::{Buyers, Scenario};
use std::fmt::Write;

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// By number.
    pub sku: u32,
    pub quantity: u32,
}

/// What becomes of an order that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stays,
    Paid,
    Confirmed,
    Cancelled,
    Abandoned,
}

/// Which of the bodies that are sent under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Body {
    First,
    Other,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub number: u64,
    lines: Vec<Line>,
    pub end: End,
    /// What is sent beside the order at the same time, under its key.
    pub copies: Vec<Body>,
    pub hold_seconds: u64,
}

impl Plan {
    pub fn lines(&self, body: Body) -> Vec<Line> {
        let mut lines = self.lines.clone();
        if body == Body::Other {
            lines[0].quantity += 1;
        }
        lines
    }
}

pub struct Workload {
    /// Tells runs on one server apart: part of every key and SKU.
    pub run: String,
    pub skus: Vec<String>,
    buyers: Buyers,
    seed: u64,
    /// Sums of the shares of SKUs; empty where all have the same.
    shares: Vec<f64>,
}

impl Workload {
    pub fn new(scenario: &Scenario, run: &str) -> Self {
        let count = scenario.stock.skus;
        let skus = (0..count).map(|index| format!("load-{run}-{index}")).collect();
        let shares = if scenario.buyers.zipf > 0.0 { zipf(count, scenario.buyers.zipf) } else { Vec::new() };
        Self { run: run.to_owned(), skus, buyers: scenario.buyers.clone(), seed: scenario.seed, shares }
    }

    pub fn plan(&self, number: u64) -> Plan {
        let (buyers, mut random) = (&self.buyers, Random::new(self.seed, number));
        let count = random.between(buyers.basket) as usize;
        let mut lines: Vec<Line> = Vec::with_capacity(count);
        while lines.len() < count {
            let sku = self.sku(&mut random);
            let quantity = random.between(buyers.quantity) as u32;
            // An order names a SKU once; a popular one that comes again gives way to any other.
            let taken = |sku: u32| lines.iter().any(|line| line.sku == sku);
            let sku = if taken(sku) { random.below(self.skus.len() as u64) as u32 } else { sku };
            if !taken(sku) {
                lines.push(Line { sku, quantity });
            }
        }
        let end = end(buyers, random.unit());
        let copies = if random.chance(buyers.repeats) { buyers.copies } else { 0 };
        let copies = (0..copies).map(|_| if random.chance(buyers.other_body) { Body::Other } else { Body::First }).collect();
        let hold_seconds = if end == End::Abandoned { buyers.abandon_seconds } else { buyers.hold_seconds };
        Plan { number, lines, end, copies, hold_seconds }
    }

    fn sku(&self, random: &mut Random) -> u32 {
        if random.chance(self.buyers.hot) {
            return 0;
        }
        if self.shares.is_empty() {
            return random.below(self.skus.len() as u64) as u32;
        }
        let at = random.unit();
        self.shares.partition_point(|sum| *sum <= at).min(self.skus.len() - 1) as u32
    }

    /// A header line.
    pub fn key(&self, number: u64) -> String {
        format!("Idempotency-Key: {}-{number}\r\n", self.run)
    }

    pub fn customer(&self) -> String {
        format!("load-{}", self.run)
    }

    /// JSON of an order.
    pub fn body(&self, plan: &Plan, body: Body) -> String {
        let Plan { end, hold_seconds, .. } = plan;
        let mut json =
            format!("{{\"customer_id\":\"load-{}\",\"currency\":\"EUR\",\"ttl_seconds\":{hold_seconds},\"lines\":[", self.run);
        for (index, Line { sku, quantity }) in plan.lines(body).iter().enumerate() {
            let (comma, sku) = (if index > 0 { "," } else { "" }, &self.skus[*sku as usize]);
            let line = format_args!("{comma}{{\"sku\":\"{sku}\",\"quantity\":{quantity},\"unit_price\":1999}}");
            json.write_fmt(line).expect("a string takes all");
        }
        json.push_str(if *end == End::Paid { "],\"payment\":{\"provider\":\"sandbox\"}}" } else { "]}" });
        json
    }
}

fn end(buyers: &Buyers, at: f64) -> End {
    let ends = [
        (buyers.pays, End::Paid),
        (buyers.confirms, End::Confirmed),
        (buyers.cancels, End::Cancelled),
        (buyers.abandons, End::Abandoned),
    ];
    let mut sum = 0.0;
    let found = ends.into_iter().find(|(share, _)| {
        sum += share;
        at < sum
    });
    found.map_or(End::Stays, |(_, end)| end)
}

/// Sums of the shares of SKUs of which the `k`-th is wanted `1 / k^exponent` times as often as the first.
fn zipf(count: u64, exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums: Vec<f64> = (1..=count)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    sums.iter_mut().for_each(|each| *each /= sum);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(change: impl FnOnce(&mut Scenario)) -> Workload {
        let mut scenario = Scenario::find("smoke").unwrap();
        change(&mut scenario);
        Workload::new(&scenario, "test")
    }

    fn share(workload: &Workload, of: impl Fn(&Plan) -> bool) -> f64 {
        (0..20_000).filter(|number| of(&workload.plan(*number))).count() as f64 / 20_000.0
    }

    #[test]
    fn a_buyer_always_wants_the_same_and_names_a_sku_once() {
        let (one, two) = (workload(|_| ()), workload(|_| ()));
        for number in 0..1000 {
            let (plan, again) = (one.plan(number), two.plan(number));
            assert_eq!(one.body(&plan, Body::First), two.body(&again, Body::First));
            let mut skus: Vec<u32> = plan.lines.iter().map(|line| line.sku).collect();
            skus.sort_unstable();
            skus.dedup();
            assert_eq!(skus.len(), plan.lines.len());
        }
    }

    #[test]
    fn shares_of_ends_and_of_the_hot_sku_are_those_asked_for() {
        let workload = workload(|scenario| {
            (scenario.buyers.hot, scenario.buyers.basket) = (0.5, (1, 1));
            (scenario.buyers.cancels, scenario.buyers.confirms) = (0.3, 0.2);
        });
        assert!((share(&workload, |plan| plan.lines[0].sku == 0) - 0.505).abs() < 0.02);
        assert!((share(&workload, |plan| plan.end == End::Cancelled) - 0.3).abs() < 0.02);
    }

    #[test]
    fn zipf_asks_for_the_first_sku_twice_as_often_as_for_the_second() {
        let workload = workload(|scenario| {
            (scenario.buyers.zipf, scenario.buyers.hot, scenario.buyers.basket) = (1.0, 0.0, (1, 1));
        });
        let (first, second) = (share(&workload, |plan| plan.lines[0].sku == 0), share(&workload, |plan| plan.lines[0].sku == 1));
        assert!((first / second - 2.0).abs() < 0.2, "{first} and {second}");
    }

    #[test]
    fn another_body_under_the_key_asks_for_one_more() {
        let workload = workload(|_| ());
        let plan = workload.plan(1);
        assert_eq!(plan.lines(Body::Other)[0].quantity, plan.lines(Body::First)[0].quantity + 1);
    }
}

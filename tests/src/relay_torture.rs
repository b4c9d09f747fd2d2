//! Kills brokers and engines under load, again and again, and compares the topic with the journal at the end.
//!
//! Invariant of it all: what Kafka carries, deduplicated by sequence, is the journal; and no outage of Kafka keeps an order
//! from being taken.

use crate::brokers::Brokers;
use crate::buyers::Buyers;
use crate::server::{Server, poll};
use crate::torture::client::{Client, Request};
use crate::torture::dice::Dice;
use serde_json::Value;
use std::time::{Duration, Instant};

const BROKERS: u16 = 3;
const BUYERS: u64 = 4;
/// Between two orders of a buyer: brokers, engine and buyers share the machine.
const REST: Duration = Duration::from_millis(10);
/// How long the relay may need to catch up at the end.
const CATCH_UP: Duration = Duration::from_secs(300);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub broker_kills: u64,
    pub stops: u64,
    pub stop_seconds: u64,
    pub engine_kills: u64,
    pub seed: u64,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Tally {
    broker_kills: u64,
    stops: u64,
    engine_kills: u64,
    acknowledged: u64,
    max_lag_events: u64,
    catch_up: Duration,
    /// Orders a second in the stops, and in as long a time before each.
    rate_away: f64,
    rate_before: f64,
    /// Of `holdfast kafka verify`.
    report: Value,
    /// Of `holdfast verify`.
    sound: bool,
}

impl Tally {
    /// The one line of the result.
    pub fn line(&self) -> String {
        let Self { broker_kills, stops, engine_kills, acknowledged, max_lag_events, .. } = self;
        let counts = ["events", "records", "missing", "invented", "out_of_order", "duplicates"];
        let counts: Vec<String> = counts.iter().map(|name| format!("{name}={}", self.report[name])).collect();
        format!(
            "broker_kills={broker_kills} stops={stops} engine_kills={engine_kills} acknowledged={acknowledged} \
             max_lag_events={max_lag_events} catch_up_s={:.1} orders_per_s_before_stops={:.0} orders_per_s_in_stops={:.0} {}",
            self.catch_up.as_secs_f64(),
            self.rate_before,
            self.rate_away,
            counts.join(" ")
        )
    }

    pub fn clean(&self) -> bool {
        self.sound && self.report["ok"] == true
    }

    /// What `holdfast kafka verify` found first, if anything.
    pub fn first(&self) -> Option<&str> {
        self.report["first"].as_str()
    }
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    Broker,
    All,
    Engine,
}

/// Runs all blows in an order that the seed decides. Nothing where brokers cannot run.
pub fn run(options: &Options) -> Option<Tally> {
    let brokers = Brokers::start(BROKERS)?;
    let server = brokers.publishing("torture").env("HOLDFAST__LOG__LEVEL", "info");
    let mut run = Run { server: Server::start(server), brokers, dice: Dice::new(options.seed), tally: Tally::default() };
    Buyers::stock(&run.server.url());
    let buyers = Buyers::start(&run.server.url(), "buyer", BUYERS, REST);
    for blow in run.schedule(options) {
        run.strike(blow, options, &buyers);
        run.look();
        eprintln!("{blow:?} {}", run.tally.line());
    }
    run.tally.acknowledged = buyers.stop();
    run.finish();
    Some(run.tally)
}

struct Run {
    server: Server,
    brokers: Brokers,
    dice: Dice,
    tally: Tally,
}

impl Run {
    fn schedule(&mut self, options: &Options) -> Vec<Blow> {
        let times = |blow, times| std::iter::repeat_n(blow, times as usize);
        let mut blows: Vec<Blow> = times(Blow::Broker, options.broker_kills)
            .chain(times(Blow::All, options.stops))
            .chain(times(Blow::Engine, options.engine_kills))
            .collect();
        (1..blows.len()).rev().for_each(|last| blows.swap(last, self.dice.index(last + 1)));
        blows
    }

    fn strike(&mut self, blow: Blow, options: &Options, buyers: &Buyers) {
        pause(self.dice.between(500, 2000));
        match blow {
            Blow::Broker => {
                let broker = self.dice.between(1, u64::from(BROKERS)) as u16;
                self.brokers.kill(broker);
                pause(self.dice.between(200, 4000));
                self.brokers.restart(broker);
                self.tally.broker_kills += 1;
            }
            Blow::All => self.stop_all(options, buyers),
            Blow::Engine => {
                self.server.restart();
                self.tally.engine_kills += 1;
            }
        }
    }

    fn stop_all(&mut self, options: &Options, buyers: &Buyers) {
        let time = Duration::from_secs(options.stop_seconds);
        let rate = || {
            let (before, began) = (buyers.placed(), Instant::now());
            pause(time.as_millis() as u64);
            (buyers.placed() - before) as f64 / began.elapsed().as_secs_f64()
        };
        let before = rate();
        (1..=BROKERS).for_each(|broker| self.brokers.kill(broker));
        let away = rate();
        self.tally.stops += 1;
        let weight = self.tally.stops as f64;
        self.tally.rate_before += (before - self.tally.rate_before) / weight;
        self.tally.rate_away += (away - self.tally.rate_away) / weight;
        self.look();
        self.brokers.start_again();
    }

    fn lag(&self) -> Option<u64> {
        let answer = Client::new(&self.server.url()).ask(&Request::get("/metrics")).ok()?;
        let text = String::from_utf8(answer.body).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix("holdfast_relay_lag_events "))?;
        value.parse::<f64>().ok().map(|value| value as u64)
    }

    fn look(&mut self) {
        self.tally.max_lag_events = self.tally.max_lag_events.max(self.lag().unwrap_or(0));
    }

    /// Lets the relay catch up, stops in order and compares.
    fn finish(&mut self) {
        let began = Instant::now();
        // The lag is counted once a second.
        pause(2000);
        poll(CATCH_UP, || (self.lag() == Some(0)).then_some(()));
        self.tally.catch_up = began.elapsed();
        let stopped = self.server.terminate().success();
        let (sound, said) = self.server.verify();
        self.tally.sound = stopped && sound;
        if !self.tally.sound {
            eprintln!("stopped in order: {stopped}; verify: {said}\n{}", self.server.log());
        }
        let dir = self.server.data_dir().display().to_string();
        let (_, said) = self.server.run(&["kafka", "verify", "--json", "--data-dir", &dir]);
        self.tally.report = serde_json::from_str(&said).unwrap_or_default();
    }
}

/// Lets things happen: what is tested is that the moment does not matter.
fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

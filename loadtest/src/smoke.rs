//! Smoke: orders at a constant rate, spread over some SKUs with too few units for all.

use crate::audit::{order, run_name, stock, violations};
use crate::pace::Pace;
use crate::report::Report;
use crate::{ServerArgs, crowd};
use clap::Args;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// Orders a second.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    skus: u64,
    /// Units of each SKU; left out: half of what is asked for.
    #[arg(long)]
    units: Option<u64>,
    /// Open connections at most.
    #[arg(long, default_value_t = 256)]
    connections: usize,
}

pub(crate) async fn run(options: &Options) -> Result<Report, String> {
    let target = options.server.target()?;
    crowd::raise_file_limit();
    let name = run_name();
    let skus: Vec<String> = (0..options.skus).map(|index| format!("smoke-{name}-{index}")).collect();
    let units = options.units.unwrap_or((options.rate * options.seconds / options.skus / 2).max(1));
    stock(&target, &skus, units).await?;
    let pace = Pace { rate: options.rate, seconds: options.seconds, connections: options.connections.max(1) };
    let make = |number: u64| {
        // A stride that is prime to most counts: neighbours in time are not neighbours in the list.
        let label = (number * 7919 % options.skus) as usize;
        let key = format!("Idempotency-Key: smoke-{name}-{number}\r\n");
        (label, target.request("POST", "/v1/orders", &key, &order(&skus[label])))
    };
    let outcomes = pace.run(&target, make).await;
    let violations = violations(&target, &skus, units, &outcomes).await?;
    Ok(Report { scenario: "smoke", outcomes, beside: Vec::new(), violations })
}

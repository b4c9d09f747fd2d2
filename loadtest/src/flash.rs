//! Flash: one SKU, a few units, and everybody at once.

use crate::ServerArgs;
use crate::audit::{order, run_name, stock, violations};
use crate::crowd::{raise_file_limit, storm};
use crate::report::{Outcomes, Report};
use clap::Args;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    #[arg(long, default_value_t = 1)]
    units: u64,
    /// Buyers, each with an open connection. The limit of open files bounds them.
    #[arg(long, default_value_t = 10_000)]
    buyers: u64,
}

pub(crate) async fn run(options: &Options) -> Result<Report, String> {
    let target = options.server.target()?;
    raise_file_limit();
    let name = run_name();
    let skus = [format!("flash-{name}")];
    stock(&target, &skus, options.units).await?;
    let request = |buyer: u64| {
        let key = format!("Idempotency-Key: flash-{name}-{buyer}\r\n");
        target.request("POST", "/v1/orders", &key, &order(&skus[0]))
    };
    let outcomes = storm(&target, (0..options.buyers).map(request).collect()).await?;
    let mut violations = violations(&target, &skus, options.units, &outcomes).await?;
    violations.extend(unfair(options, &outcomes));
    Ok(Report { scenario: "flash", outcomes, beside: Vec::new(), violations })
}

/// Nobody may be turned away while there are units, and nobody for another reason.
fn unfair(options: &Options, outcomes: &Outcomes) -> Option<String> {
    let accepted: u64 = outcomes.accepted.values().sum();
    let refused = outcomes.counts.get("409 out_of_stock").copied().unwrap_or(0);
    let expected = options.units.min(options.buyers);
    let fair = accepted == expected && refused == options.buyers - expected;
    (!fair)
        .then(|| format!("{accepted} accepted and {refused} out of stock, expected {expected} and {}", options.buyers - expected))
}

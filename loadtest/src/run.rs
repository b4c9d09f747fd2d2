//! One run from its beginning to its audit.
//!
//! Invariant: a run that had load has an audit; without one there is no summary.

use crate::audit::{self, Audit};
use crate::buyer::Shop;
use crate::http::Target;
use crate::ledger::{Breach, Finding, Ledger};
use crate::machine::Machine;
use crate::pool::Pool;
use crate::sampler::{Sampler, Samples};
use crate::scenario::{Scenario, Shape};
use crate::server::Server;
use crate::summary::{self, Percentiles, SCHEMA, Summary, Totals};
use crate::workload::Workload;
use crate::{drive, hgrm, limit, live, report, stock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Where the server is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// One that runs already; left out, one is started.
    pub url: Option<String>,
    /// Of its operators, where they have an address of their own.
    pub admin: Option<String>,
    pub key: Option<String>,
    pub binary: Option<PathBuf>,
    /// In which its data is made, on the disk that is to be measured.
    pub dir: Option<PathBuf>,
}

/// A run that has ended, with its histograms.
pub struct Run {
    pub summary: Summary,
    shop: Arc<Shop>,
}

impl Run {
    /// `summary.json`, `report.html` and a `.hgrm` for each operation and class.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
        std::fs::create_dir_all(dir).map_err(failed)?;
        let json = serde_json::to_vec_pretty(&self.summary).map_err(|error| error.to_string())?;
        std::fs::write(dir.join(summary::FILE), json).map_err(failed)?;
        std::fs::write(dir.join("report.html"), report::page(&self.summary)).map_err(failed)?;
        for ((operation, class), histogram) in &self.shop.record().latencies {
            let name = format!("{operation:?}-{class:?}.hgrm").to_lowercase();
            std::fs::write(dir.join(name), hgrm::table(histogram)).map_err(failed)?;
        }
        Ok(())
    }
}

/// Every connection is a file.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        eprintln!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

/// Tells runs on the same server apart.
pub fn name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", now.as_micros())
}

/// Runs a scenario.
///
/// # Errors
/// If there is no server, or it does not answer the preparation or the audit.
pub async fn run(scenario: &Scenario, place: &Place) -> Result<Run, String> {
    scenario.check()?;
    raise_file_limit();
    let own = scenario.server.kill_at.is_some() || scenario.server.sync_delay_ms > 0;
    if own && place.url.is_some() {
        return Err(format!("{} kills or delays its server: leave --url out, so that one is started", scenario.name));
    }
    let machine = Machine::of(place.dir.as_deref().unwrap_or(&std::env::temp_dir()));
    let mut server = match &place.url {
        Some(_) => None,
        None => Some(Server::start(place.binary.as_deref(), place.dir.as_deref(), &scenario.server)?),
    };
    let url = place.url.clone().or(server.as_ref().map(Server::url)).unwrap_or_default();
    let key = place.key.as_deref();
    let target = Target::parse(&url, key)?.with_operators(place.admin.as_deref(), key)?;
    let (mut scenario, mut notes) = (scenario.clone(), Vec::new());
    let capacity = measure(&mut scenario, &target, &mut notes).await?;
    let shop = prepare(&scenario, &target).await?;
    let started = jiff::Timestamp::now().to_string();
    let (samples, seconds) = load(&shop, &scenario, server.as_mut(), &mut notes).await?;
    let mut audit = audit::run(&shop, scenario.units(), server.is_none()).await?;
    let told = server.as_ref().map_or(url, Server::version);
    if let Some(server) = &mut server {
        verify(server, &mut audit);
    }
    let mut summary = summed(&shop, &scenario, machine, seconds);
    (summary.started, summary.server, summary.samples) = (started, told, samples.all());
    (summary.audit, summary.notes) = (audit, notes);
    // Where the generator was late, what is too slow may be its own.
    if !scenario.limits.stop && summary.invalid.is_empty() {
        summary.broken = summary.broken_limits(capacity);
    }
    summary.broken.extend(summary::misfits(&summary.answers));
    Ok(Run { summary, shop })
}

/// What the server takes, where the rate is a multiple of that.
pub(crate) async fn measure(scenario: &mut Scenario, target: &Target, notes: &mut Vec<String>) -> Result<Option<f64>, String> {
    if scenario.load.times_capacity <= 0.0 {
        return Ok(None);
    }
    let mut closed = scenario.clone();
    (closed.load.shape, closed.load.times_capacity) = (Shape::Closed, 0.0);
    let connections = scenario.load.measure_connections;
    (closed.load.connections, closed.seconds) = (connections, scenario.load.measure_seconds);
    let shop = prepare(&closed, target).await?;
    let begun = Instant::now();
    drive::run(shop.clone(), &closed, Arc::default()).await?;
    let capacity = shop.record().count(crate::record::Class::Accepted) as f64 / begun.elapsed().as_secs_f64();
    scenario.load.rate = capacity * scenario.load.times_capacity;
    notes.push(format!(
        "{connections} buyers one after the other were served {capacity:.0} orders/s; the load is {} times that",
        scenario.load.times_capacity
    ));
    Ok(Some(capacity))
}

/// Puts the units into stock, and opens what a crowd needs.
pub(crate) async fn prepare(scenario: &Scenario, target: &Target) -> Result<Arc<Shop>, String> {
    let crowd = scenario.load.shape == Shape::Crowd;
    let connections = if crowd { scenario.load.buyers as usize } else { scenario.load.connections };
    let pool = Pool::new(target.clone(), connections);
    let workload = Workload::new(scenario, &name());
    stock::put(target, &workload.skus, scenario.units()).await?;
    if crowd {
        pool.fill(connections).await?;
    }
    let ledger = Ledger::new(workload.skus.len(), scenario.seed);
    let mut shop = Shop::new(pool, workload, ledger);
    (shop.tries, shop.pause) = (scenario.buyers.tries, Duration::from_millis(scenario.buyers.pause_ms));
    // The audit after it takes its time.
    shop.run_time = Duration::from_secs_f64(scenario.seconds) + Duration::from_secs(120);
    Ok(Arc::new(shop))
}

/// The load itself, watched. The samples, and how many seconds it took.
async fn load(
    shop: &Arc<Shop>,
    scenario: &Scenario,
    server: Option<&mut Server>,
    notes: &mut Vec<String>,
) -> Result<(Samples, f64), String> {
    let (over, enough, samples) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Samples::default());
    let pid = Arc::new(Mutex::new(server.as_ref().and_then(|server| server.pid())));
    let skus = shop.workload.skus.clone();
    let sampler = Sampler { target: shop.pool.target.clone(), skus, start: shop.start, pid: pid.clone() };
    tokio::spawn(sampler.run(samples.clone(), over.clone()));
    let shown = tokio::spawn(live::show(shop.clone(), samples.clone(), scenario.seconds, over.clone()));
    let broke = scenario
        .limits
        .stop
        .then(|| tokio::spawn(limit::watch(shop.clone(), scenario.limits.clone(), enough.clone(), over.clone())));
    let driving = tokio::spawn({
        let (shop, scenario) = (shop.clone(), scenario.clone());
        async move { drive::run(shop, &scenario, enough).await }
    });
    if let (Some(at), Some(server)) = (scenario.server.kill_at, server) {
        tokio::time::sleep_until(shop.start + Duration::from_secs_f64(scenario.seconds * at)).await;
        server.kill();
        let took = server.restart()?;
        *pid.lock().unwrap_or_else(PoisonError::into_inner) = server.pid();
        notes.push(format!(
            "killed after {:.1} s and started again: orders were taken after {} ms",
            scenario.seconds * at,
            took.as_millis()
        ));
    }
    driving.await.map_err(|error| error.to_string())??;
    let seconds = shop.start.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    shown.await.ok();
    if let Some(broke) = broke {
        notes.push(broke.await.map_err(|error| error.to_string())?);
    }
    Ok((samples, seconds))
}

/// The journal from its first record, by the server's own program.
pub(crate) fn verify(server: &mut Server, audit: &mut Audit) {
    let verified = server.stop().and_then(|()| server.verify());
    let (ok, said) = verified.unwrap_or_else(|error| (false, error));
    if !ok {
        audit.findings.push(Finding::new(Breach::Inconsistent, format!("holdfast verify: {said}")));
    }
    audit.verify = Some(serde_json::from_str(&said).unwrap_or_else(|_| said.into()));
}

fn summed(shop: &Shop, scenario: &Scenario, machine: Machine, seconds: f64) -> Summary {
    let record = shop.record();
    let (totals, lateness) = (Totals::of(&record, seconds), Percentiles::of(&record.lateness));
    Summary {
        schema: SCHEMA,
        scenario: scenario.clone(),
        started: String::new(),
        seconds,
        server: String::new(),
        machine,
        invalid: summary::invalid(scenario, &totals, &lateness),
        broken: Vec::new(),
        audit: Audit::default(),
        answers: record.answers.clone(),
        latencies: summary::latencies(&record),
        lateness,
        by_second: summary::by_second(&record),
        totals,
        samples: Vec::new(),
        notes: Vec::new(),
    }
}

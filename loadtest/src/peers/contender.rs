//! Who is compared, how each is started with its stock, and how what it stored is added up.
//!
//! Invariant: every store is set to be as durable as it says: an acknowledged order is synced, but where the name says otherwise.

use super::process::{Process, is_on_path, output};
use crate::http::Target;
use crate::scenario::ServerSettings;
use crate::server::{Server, free_port};
use crate::stock;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Units of each SKU: more than a run sells.
const UNITS: u64 = 2_000_000_000;

pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) sends: Sends,
    store: Store,
}

/// What it is loaded with.
#[derive(Clone, Copy)]
pub(super) enum Sends {
    /// An order a request.
    Orders,
    /// Reservations, many a request.
    Batches,
}

#[derive(Clone, Copy)]
enum Store {
    Nothing,
    /// With this value of `appendfsync`.
    Redis(&'static str),
    /// With this `--store` of the front.
    Postgres(&'static str),
    Holdfast,
}

pub(super) const ALL: [Contender; 7] = [
    Contender { name: "bare", sends: Sends::Orders, store: Store::Nothing },
    Contender { name: "holdfast", sends: Sends::Orders, store: Store::Holdfast },
    Contender { name: "holdfast-batch", sends: Sends::Batches, store: Store::Holdfast },
    Contender { name: "redis-always", sends: Sends::Orders, store: Store::Redis("always") },
    Contender { name: "redis-everysec", sends: Sends::Orders, store: Store::Redis("everysec") },
    Contender { name: "postgres-row", sends: Sends::Orders, store: Store::Postgres("postgres-row") },
    Contender { name: "postgres-statement", sends: Sends::Orders, store: Store::Postgres("postgres-statement") },
];

/// A contender that takes orders at `url`.
pub(super) struct Running {
    pub(super) url: String,
    asks: Asks,
    /// Dropped in this order: the front before its store.
    _processes: Vec<Process>,
}

/// How the store is asked what it has.
enum Asks {
    Nothing,
    Redis { port: u16, skus: u32 },
    Postgres { dir: PathBuf, port: u16 },
    Holdfast(Server),
}

impl Contender {
    /// Why it cannot run here.
    pub(super) fn missing(&self, binaries: &Path) -> Option<String> {
        let binary =
            |name: &str| (!binaries.join(name).is_file()).then(|| format!("{} is not built", binaries.join(name).display()));
        match self.store {
            Store::Nothing => binary("bare"),
            Store::Holdfast => binary("holdfast"),
            Store::Redis(_) if !is_on_path("redis-server") => Some("redis-server is not installed".to_owned()),
            Store::Postgres(_) if postgres_binaries().is_none() => Some("PostgreSQL is not installed".to_owned()),
            Store::Redis(_) | Store::Postgres(_) => binary("peer").map(|what| format!("{what} (feature peers)")),
        }
    }

    pub(super) fn start(&self, binaries: &Path, dir: &Path, skus: u32) -> Result<Running, String> {
        match self.store {
            Store::Nothing => bare(binaries),
            Store::Holdfast => holdfast(binaries, dir, skus),
            Store::Redis(sync) => redis(binaries, dir, skus, sync),
            Store::Postgres(store) => postgres(binaries, dir, skus, store),
        }
    }
}

impl Running {
    /// Orders that are stored, which are at least those that were answered, and as many as units are taken.
    pub(super) fn added_up(&self, answered: u64) -> Result<u64, String> {
        let (orders, taken) = match &self.asks {
            Asks::Nothing => return Ok(0),
            Asks::Redis { port, skus } => redis_totals(*port, *skus)?,
            Asks::Postgres { dir, port } => postgres_totals(dir, *port)?,
            Asks::Holdfast(server) => holdfast_totals(&server.url())?,
        };
        if orders >= answered && orders == taken {
            Ok(orders)
        } else {
            Err(format!("{answered} orders were answered, {orders} are stored, {taken} units are taken"))
        }
    }
}

fn front(binaries: &Path, program: &str, args: &[&str]) -> Result<(String, Process), String> {
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let process = Process::start(Command::new(binaries.join(program)).args(["--listen", &listen]).args(args), port)?;
    Ok((format!("http://{listen}"), process))
}

fn bare(binaries: &Path) -> Result<Running, String> {
    let (url, process) = front(binaries, "bare", &[])?;
    Ok(Running { url, asks: Asks::Nothing, _processes: vec![process] })
}

fn holdfast(binaries: &Path, dir: &Path, skus: u32) -> Result<Running, String> {
    let server = Server::start(Some(&binaries.join("holdfast")), Some(dir), &ServerSettings::default())?;
    let skus: Vec<String> = (1..=skus).map(|n| format!("SKU-{n}")).collect();
    waited_for(stock::put(&Target::parse(&server.url(), None)?, &skus, UNITS))?;
    Ok(Running { url: server.url(), asks: Asks::Holdfast(server), _processes: Vec::new() })
}

fn waited_for<T>(answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(answer)
}

/// Its own audit says that all adds up, and how many orders and reservations it has placed; each took one unit.
fn holdfast_totals(url: &str) -> Result<(u64, u64), String> {
    let audit = waited_for(Target::parse(url, None)?.call("POST", "/admin/v1/audit", "", ""))?;
    let placed = |what: &str| audit["checked"][what].as_u64().filter(|_| audit["ok"] == true);
    let all = placed("orders").zip(placed("reservations")).map(|(orders, reservations)| orders + reservations);
    let all = all.ok_or_else(|| format!("the audit finds: {audit}"))?;
    Ok((all, all))
}

fn redis(binaries: &Path, dir: &Path, skus: u32, sync: &str) -> Result<Running, String> {
    let port = free_port()?;
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        sync,
        "--dir",
    ]);
    let store = Process::start(command.arg(dir), port)?;
    let stock = (1..=skus).fold(String::new(), |mut lines, n| {
        let _ = writeln!(lines, "HSET stock:SKU-{n} available {UNITS} held 0");
        lines
    });
    output(Command::new("redis-cli").args(["-p", &port.to_string()]), &stock)?;
    let (url, front) = front(binaries, "peer", &["--store", "redis", "--at", &format!("redis://127.0.0.1:{port}")])?;
    Ok(Running { url, asks: Asks::Redis { port, skus }, _processes: vec![front, store] })
}

fn redis_totals(port: u16, skus: u32) -> Result<(u64, u64), String> {
    const HELD: &str = "local sum = 0 for _, key in ipairs(redis.call('KEYS', 'stock:*')) do sum = sum + redis.call('HGET', key, 'held') end return sum";
    let ask = |args: &[&str]| output(Command::new("redis-cli").args(["-p", &port.to_string(), "--raw"]).args(args), "");
    let number = |text: String| text.parse::<u64>().map_err(|error| format!("redis-cli said {text}: {error}"));
    Ok((number(ask(&["DBSIZE"])?)?.saturating_sub(skus.into()), number(ask(&["EVAL", HELD, "0"])?)?))
}

/// Where Debian has the newest, or the PATH.
fn postgres_binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let dirs = versions.flatten().map(|version| version.path().join("bin"));
    dirs.filter(|dir| dir.join("initdb").is_file()).max()
}

/// PostgreSQL does not run as root.
fn as_postgres(program: &Path) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn postgres(binaries: &Path, dir: &Path, skus: u32, store: &str) -> Result<Running, String> {
    let programs = postgres_binaries().ok_or("PostgreSQL is not installed")?;
    if rustix::process::getuid().is_root() {
        output(Command::new("chown").arg("postgres").arg(dir), "")?;
    }
    let (data, port) = (dir.join("data"), free_port()?);
    output(as_postgres(&programs.join("initdb")).args(["-A", "trust", "-U", "holdfast", "-D"]).arg(&data), "")?;
    let mut command = as_postgres(&programs.join("postgres"));
    command.arg("-D").arg(&data).arg("-k").arg(dir).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    let server = Process::start(&mut command, port)?;
    let tables = format!(
        "CREATE TABLE stock (sku text PRIMARY KEY, available bigint NOT NULL, held bigint NOT NULL) WITH (fillfactor = 50);
         CREATE TABLE orders (key text PRIMARY KEY, sku text NOT NULL, quantity bigint NOT NULL, placed timestamptz NOT NULL DEFAULT now());
         INSERT INTO stock SELECT 'SKU-' || n, {UNITS}, 0 FROM generate_series(1, {skus}) n; ANALYZE stock;"
    );
    psql(dir, port, &tables)?;
    let at = format!("host=127.0.0.1 port={port} user=holdfast dbname=postgres");
    let (url, front) = front(binaries, "peer", &["--store", store, "--at", &at])?;
    Ok(Running { url, asks: Asks::Postgres { dir: dir.to_owned(), port }, _processes: vec![front, server] })
}

fn psql(dir: &Path, port: u16, sql: &str) -> Result<String, String> {
    let mut command = Command::new("psql");
    command.args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-F",
        " ",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        "holdfast",
        "-d",
        "postgres",
        "-p",
        &port.to_string(),
        "-h",
    ]);
    output(command.arg(dir), sql)
}

fn postgres_totals(dir: &Path, port: u16) -> Result<(u64, u64), String> {
    let said = psql(dir, port, "SELECT (SELECT count(*) FROM orders), (SELECT sum(held) FROM stock);")?;
    let numbers = said.split_once(' ').and_then(|(orders, held)| Some((orders.parse().ok()?, held.parse().ok()?)));
    numbers.ok_or_else(|| format!("psql said {said}"))
}

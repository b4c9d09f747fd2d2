//! One file of a data directory is flipped, cut, emptied or removed: whoever opens the directory refuses it in words, or gives the
//! answers that it gave before.
//!
//! The real binary makes the directory, with all that can happen in it, and is stopped in order or killed; each case then opens a
//! copy of it in this process, as a server does. Invariant: no panic, no other answers, whatever byte it was. A failure says its seed;
//! `FLIP_SEED` and `FLIP_CASES` repeat it, or try more of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_engine::ids::Partitions;
use holdfast_engine::time::Policy;
use holdfast_gateway::keys::{self, Keys};
use holdfast_gateway::providers::sandbox::Sandbox;
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::{Journal, LogId, Table, recovery};
use holdfast_tests::repertoire::Repertoire;
use holdfast_tests::server::{Options, copy_data};
use holdfast_tests::torture::client::{Client, Request};
use holdfast_tests::torture::dice::Dice;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Of each of the two directories.
const CASES: u64 = 250;
const SEED: u64 = 15;
/// Reservations beyond the repertoire, so that the log has more than one file.
const RESERVATIONS: usize = 4000;
/// No case may hang. Far more than all of them take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Panics of any thread, those of the database's own too.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Everything that the data says.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    /// State of each partition.
    partitions: Vec<Vec<u8>>,
    /// The check values of all commits.
    commits: Vec<(u64, u64)>,
    /// Closed orders, kept answers and movements.
    rows: BTreeMap<(&'static str, Vec<u8>), Vec<u8>>,
    /// What the sandbox says of each attempt, and the link to it.
    attempts: Vec<String>,
    signed_with: Vec<u8>,
    /// Whom each of the keys is of.
    scopes: Vec<Option<String>>,
}

/// What is flipped, and what it said before.
struct Original {
    dir: PathBuf,
    asked: Asked,
    answers: Answers,
}

/// What is asked for beside all that can be listed.
struct Asked {
    attempts: Vec<String>,
    keys: Vec<String>,
}

fn made(killed: bool, root: &Path) -> Original {
    let dir = root.join(if killed { "killed" } else { "stopped" });
    let options = Options::new().env("HOLDFAST__DATA__PARTITIONS", "4").env("HOLDFAST__ENGINE__SNAPSHOT_EVENTS", "200");
    let Repertoire { mut server, .. } = Repertoire::play(options.data_dir(&dir));
    fill(&Client::new(&server.url()), "first");
    assert!(server.terminate().success());
    flush(&dir.join("tables"));
    // A second life has tables and a log that another process wrote.
    server.restart();
    fill(&Client::new(&server.url()), "second");
    if killed {
        server.kill()
    } else {
        assert!(server.terminate().success())
    }
    let record = fs::read_to_string(dir.join("sandbox/attempts.jsonl")).unwrap();
    let attempt = |line: &str| Some(line.split_once("\"attempt\":\"")?.1.split_once('"')?.0.to_owned());
    let mut attempts: Vec<String> = record.lines().filter_map(attempt).collect();
    attempts.dedup();
    let asked = Asked { attempts, keys: ["shop", "office", "till"].map(|name| new_key(&dir, name)).to_vec() };
    let copy = root.join("oracle");
    copy_data(&dir, &copy);
    let answers = answers(&copy, &asked).unwrap_or_else(|said| panic!("it does not open as it is: {said}"));
    fs::remove_dir_all(copy).unwrap();
    assert!(answers.rows.len() > 10 && answers.attempts.len() > 3, "{}, {}", answers.rows.len(), answers.attempts.len());
    Original { dir, asked, answers }
}

/// Made when the server is down, which would ask for it.
fn new_key(dir: &Path, name: &str) -> String {
    let key = keys::create(name, None, keys::Role::Storefront).unwrap();
    keys::file::store(dir, &key.entry).unwrap();
    key.secret
}

/// Enough for another file of the log.
fn fill(client: &Client, life: &str) {
    let stock = Request::put(format!("/v1/inventory/{life}/locations/main"), 0, &json!({"on_hand": RESERVATIONS}));
    client.json(&stock).unwrap();
    let item = |number| json!({"key": format!("{life}-{number}"), "lines": [{"sku": life, "quantity": 1}], "ttl_seconds": 600});
    let items: Vec<_> = (0..RESERVATIONS).map(item).collect();
    let answer = client.ask(&Request::post("/v1/reservations:batch", &json!({"items": items}))).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.shown());
}

/// What a shop with more rows has: files of tables.
fn flush(tables: &Path) {
    let database = fjall::Database::builder(tables).open().unwrap();
    for name in ["orders", "keys", "movements", "meta"] {
        let part = database.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap();
        part.rotate_memtable_and_wait().unwrap();
    }
}

type Said = Box<dyn std::error::Error>;

/// As a start reads it. What the sandbox would tell is not told: its tasks end here.
fn answers(dir: &Path, asked: &Asked) -> Result<Answers, Said> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(async { opened(dir, asked) }))
}

fn opened(dir: &Path, asked: &Asked) -> Result<Answers, Said> {
    let lock = holdfast_storage::DirectoryLock::take(dir)?;
    let keys = Keys::load(&[], Some(dir))?;
    let sandbox = Sandbox::open(Some(dir), "http://127.0.0.1:9")?;
    let journal = EmbeddedJournal::open_under(&lock, Partitions::new(4).unwrap(), 0)?;
    let signed_with = fs::read(dir.join("sandbox/webhook-secret"))?;
    let known = keys.now();
    let scope = |key: &String| known.as_ref()?.find(key).map(|known| known.scope.to_string());
    let scopes = asked.keys.iter().map(scope).collect();
    Ok(Answers { signed_with, scopes, ..read(&journal, &sandbox, &asked.attempts)? })
}

fn read(journal: &dyn Journal, sandbox: &Sandbox, attempts: &[String]) -> Result<Answers, Said> {
    let ids: Vec<_> = journal.partitions().all().collect();
    let partitions = recovery::restore(journal, &ids, &Policy::default(), &mut |_, _| {})?;
    let mut commits = Vec::new();
    journal.read(LogId(0), 0, &mut |commit, frame| {
        commits.push((commit, xxhash_rust::xxh3::xxh3_64(frame)));
        Ok(ControlFlow::Continue(()))
    })?;
    let mut rows = BTreeMap::new();
    for table in [Table::Orders, Table::Keys, Table::Movements] {
        let found = journal.scan(table, &[0], &[0xff; 64], usize::MAX)?;
        rows.extend(found.into_iter().map(|row| ((table.name(), row.key), row.value)));
    }
    for ((table, key), value) in &rows {
        let table = Table::ALL.into_iter().find(|known| known.name() == *table).unwrap();
        assert_eq!(journal.get(table, key)?.as_ref(), Some(value), "a row is scanned and cannot be asked for");
    }
    let shown = |attempt: &String| format!("{attempt} {:?} {:?}", sandbox.entry(attempt), sandbox.redirect_url(attempt));
    let attempts = attempts.iter().map(shown).collect();
    let partitions = partitions.iter().map(|partition| partition.snapshot()).collect();
    Ok(Answers { partitions, commits, rows, attempts, signed_with: Vec::new(), scopes: Vec::new() })
}

/// The files of a directory, by their path below it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { all.push(path.strip_prefix(dir).unwrap().to_owned()) }
        }
    }
    all.sort();
    all
}

/// Hurts a file, and says how.
fn hurt(path: &Path, dice: &mut Dice) -> String {
    let mut bytes = fs::read(path).unwrap();
    // Most of a file of the log are the zeros that it was made with.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let within = |dice: &mut Dice, bytes: usize| dice.below(bytes.max(1) as u64) as usize;
    let end = if dice.chance(100) { bytes.len() } else { used };
    match dice.below(10) {
        0 => {
            fs::remove_file(path).unwrap();
            "removed".to_owned()
        }
        1 => {
            fs::write(path, b"").unwrap();
            "emptied".to_owned()
        }
        2 | 3 => {
            let length = within(dice, end);
            fs::write(path, &bytes[..length]).unwrap();
            format!("cut to {length} of {}", bytes.len())
        }
        _ => {
            let (byte, bit) = (within(dice, end), dice.below(8));
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << bit;
            }
            fs::write(path, &bytes).unwrap();
            format!("bit {bit} of byte {byte} of {} flipped", bytes.len())
        }
    }
}

/// A refusal names a file or a record, and says what to do.
fn is_in_words(said: &str, dir: &Path) -> bool {
    let names = said.contains(&dir.display().to_string()) || said.contains("log record") || said.contains("`tables`");
    let advice = ["estore", "remove", "move it away", "delete"].iter().any(|word| said.contains(word));
    names && (advice || said.contains("log record"))
}

/// What is wrong with how a case ended, if anything is.
fn wrong(original: &Original, root: &Path, case: u64, seed: u64) -> Option<String> {
    let mut dice = Dice::new(seed ^ (case << 20));
    let dir = root.join(format!("case-{case}"));
    copy_data(&original.dir, &dir);
    let files = files(&dir);
    let file = &files[dice.index(files.len())];
    let how = hurt(&dir.join(file), &mut dice);
    let before = PANICS.load(Ordering::SeqCst);
    let ended = catch_unwind(AssertUnwindSafe(|| answers(&dir, &original.asked)));
    let panicked = PANICS.load(Ordering::SeqCst) > before;
    let what = match ended {
        Err(_) => Some("it panicked".to_owned()),
        Ok(_) if panicked => Some("a thread of it panicked".to_owned()),
        Ok(Ok(answers)) if answers != original.answers => Some(difference(&answers, &original.answers)),
        Ok(Ok(_)) => None,
        Ok(Err(said)) if is_in_words(&said.to_string(), &dir) => None,
        Ok(Err(said)) => Some(format!("it is refused without words: {said}")),
    };
    fs::remove_dir_all(&dir).unwrap();
    what.map(|what| {
        format!(
            "FLIP_SEED={seed} case {case}: {} of a directory that was {}, {how}: {what}",
            file.display(),
            original.dir.display()
        )
    })
}

fn difference(now: &Answers, then: &Answers) -> String {
    let rows = then.rows.iter().filter(|(key, value)| now.rows.get(*key) != Some(*value)).count();
    format!(
        "other answers: partitions differ {}, commits {} of {}, rows differ {rows} of {}, attempts differ {}, keys differ {}",
        now.partitions != then.partitions,
        now.commits.len(),
        then.commits.len(),
        then.rows.len(),
        now.attempts != then.attempts,
        now.scopes != then.scopes
    )
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

fn all_cases(originals: &[Original], root: &Path) -> Vec<String> {
    let (seed, cases, began) = (number("FLIP_SEED", SEED), number("FLIP_CASES", CASES * 2), Instant::now());
    let mut failures = Vec::new();
    for case in 0..cases {
        // Said at once too: a long run may be ended before it is over.
        failures.extend(wrong(&originals[(case % 2) as usize], root, case, seed).inspect(|failure| eprintln!("{failure}")));
        assert!(began.elapsed() < PATIENCE.max(Duration::from_secs(cases)), "case {case} came too late");
    }
    failures
}

#[test]
fn a_damaged_file_is_refused_in_words_or_changes_no_answer() {
    let root: TempDir = tempfile::tempdir().unwrap();
    let originals = [false, true].map(|killed| made(killed, root.path()));
    let usual = Arc::new(std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    let failures = all_cases(&originals, root.path());
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
}

//! Real Kafka brokers for the suites, started and killed by `tests/servers`.
//!
//! Invariants: one cluster runs on this machine at a time, whichever process asks; it is gone with its data when the value
//! is dropped. A machine without Java, or without the jars and a way to fetch them, skips and says so where nobody can miss it.

use crate::server::Options;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;

/// With this set to 1 nothing may be skipped.
const REQUIRED: &str = "HOLDFAST_REQUIRE_SERVERS";

/// A running cluster.
pub struct Brokers {
    count: u16,
    address: String,
    dir: TempDir,
    /// The addresses are the same for every cluster: others wait for this file.
    _lock: File,
}

impl Brokers {
    /// Starts one broker, or three.
    ///
    /// # Panics
    /// If they do not start, or cannot and `HOLDFAST_REQUIRE_SERVERS=1` says that they must.
    pub fn start(count: u16) -> Option<Self> {
        if let Err(reason) = can_start() {
            skip("tests against real Kafka brokers", &reason);
            return None;
        }
        let lock = or_panic(File::create(std::env::temp_dir().join("holdfast-kafka.lock")), "the lock of the brokers");
        or_panic(lock.lock(), "the lock of the brokers");
        let dir = or_panic(tempfile::tempdir(), "a temporary directory");
        let mut brokers = Self { count, address: String::new(), dir, _lock: lock };
        let said = brokers.do_all("start");
        let address = said.trim().strip_prefix("HOLDFAST__KAFKA__BROKERS=");
        brokers.address = address.unwrap_or_else(|| panic!("tests/servers said {said:?}")).to_owned();
        Some(brokers)
    }

    /// One broker that the tests of a binary share: the last of them ends it.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Brokers>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::start(1)?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// `host:port` of each, separated by commas.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Settings of a server that publishes to a topic of its own.
    pub fn publishing(&self, prefix: &str) -> Options {
        Options::new()
            .env("HOLDFAST__KAFKA__ENABLED", "true")
            .env("HOLDFAST__KAFKA__BROKERS", self.address())
            .env("HOLDFAST__KAFKA__TOPIC_PREFIX", prefix)
            .env("HOLDFAST__KAFKA__REPLICATION", self.count.to_string())
            // What a test does not look at leaves the machine to the rest.
            .env("HOLDFAST__KAFKA__FLUSH_SECONDS", "60")
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self, broker: u16) {
        self.do_one("kill", broker);
    }

    /// Starts a dead broker again on its data, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&self, broker: u16) {
        self.do_one("restart", broker);
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pause(&self, broker: u16) {
        self.do_one("pause", broker);
    }

    /// # Panics
    /// If it does not run.
    pub fn resume(&self, broker: u16) {
        self.do_one("resume", broker);
    }

    /// Starts all again after all were killed, and waits until they are ready.
    ///
    /// # Panics
    /// If they do not come up.
    pub fn start_again(&self) {
        self.do_all("start");
    }

    /// Kills all and deletes their data.
    ///
    /// # Panics
    /// If they do not end.
    pub fn wipe(&self) {
        self.servers(&["wipe", "kafka"]);
    }

    fn do_one(&self, what: &str, broker: u16) {
        self.servers(&[what, "kafka", &broker.to_string()]);
    }

    fn do_all(&self, what: &str) -> String {
        self.servers(&[what, "kafka", &self.count.to_string()])
    }

    fn servers(&self, args: &[&str]) -> String {
        let output = call(args, self.dir.path());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tests/servers {}: {errors}", args.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        call(&["wipe", "kafka"], self.dir.path());
    }
}

/// Says that something is not tested here, where nobody can miss it.
///
/// # Panics
/// If `HOLDFAST_REQUIRE_SERVERS=1` says that nothing may be skipped.
pub fn skip(what: &str, reason: &str) {
    assert!(std::env::var_os(REQUIRED).is_none_or(|value| value != "1"), "{REQUIRED}=1, but {reason}");
    // Past the capture of the test harness: a skipped test must be seen.
    let _ = writeln!(stderr(), "\nSKIPPED: {what}: {reason}\n");
}

fn call(args: &[&str], dir: &Path) -> Output {
    let dir = [OsStr::new("--dir"), dir.as_os_str()];
    or_panic(Command::new(script()).args(args).args(dir).output(), "tests/servers")
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers")
}

/// Why brokers cannot be started here.
fn can_start() -> Result<(), String> {
    if !script().exists() {
        return Err(format!("{} is not there", script().display()));
    }
    let java = std::env::var_os("JAVA_HOME").map_or_else(|| "java".into(), |home| PathBuf::from(home).join("bin/java"));
    let found = Command::new(java).arg("-version").output().is_ok_and(|output| output.status.success());
    if !found {
        return Err("no Java runs here (JAVA_HOME, or java on the PATH)".to_owned());
    }
    let fetched = or_panic(Command::new(script()).args(["fetch", "kafka"]).output(), "tests/servers");
    fetched.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&fetched.stderr).trim().to_owned())
}

fn or_panic<T>(result: std::io::Result<T>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

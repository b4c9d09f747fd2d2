//! Real Cassandra nodes for the suites, started, killed and paused by `tests/servers`.
//!
//! Invariants: one cluster runs on this machine at a time, whichever process asks; it is gone with its data when the value
//! is dropped, unless it was running before.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where clients of a proxied cluster find it: node N at this with `.N` behind it.
pub const PROXIED_AT: &str = "127.0.1";

/// A running cluster.
pub struct Cassandra {
    addresses: Vec<String>,
    /// None: somebody else's, which can only be used.
    own: Option<Own>,
}

struct Own {
    dir: TempDir,
    /// The addresses are the same for every cluster: others wait for this file.
    _lock: File,
}

impl Cassandra {
    /// The cluster that `HOLDFAST__SCYLLA__NODES` names.
    pub fn named() -> Option<Self> {
        let nodes = std::env::var("HOLDFAST__SCYLLA__NODES").ok()?;
        let addresses = nodes.split(',').map(|node| node.trim().to_owned()).collect();
        Some(Self { addresses, own: None })
    }

    /// Starts one node, or three. Clients of a proxied cluster are told the addresses of the proxies.
    ///
    /// # Panics
    /// If they do not start.
    pub fn start(count: u16, proxied: bool) -> Self {
        let lock = or_panic(File::create(std::env::temp_dir().join("holdfast-cassandra.lock")), "the lock of the nodes");
        or_panic(lock.lock(), "the lock of the nodes");
        let dir = or_panic(tempfile::tempdir(), "a temporary directory");
        let mut cassandra = Self { addresses: Vec::new(), own: Some(Own { dir, _lock: lock }) };
        let count = count.to_string();
        let mut args = vec!["start", "cassandra", &count];
        args.extend(proxied.then_some(["--clients-at", PROXIED_AT]).into_iter().flatten());
        let said = cassandra.servers(&args);
        let nodes = said.trim().strip_prefix("HOLDFAST__SCYLLA__NODES=");
        let nodes = nodes.unwrap_or_else(|| panic!("tests/servers said {said:?}"));
        cassandra.addresses = nodes.split(',').map(str::to_owned).collect();
        cassandra
    }

    /// `host:port` of each.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self, node: u16) {
        self.servers(&["kill", "cassandra", &node.to_string()]);
    }

    /// Starts a dead node again on its data, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&self, node: u16) {
        self.servers(&["restart", "cassandra", &node.to_string()]);
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pause(&self, node: u16) {
        self.servers(&["pause", "cassandra", &node.to_string()]);
    }

    /// # Panics
    /// If it does not run.
    pub fn resume(&self, node: u16) {
        self.servers(&["resume", "cassandra", &node.to_string()]);
    }

    fn servers(&self, args: &[&str]) -> String {
        let Some(own) = &self.own else { panic!("the nodes of HOLDFAST__SCYLLA__NODES are not this run's to {}", args[0]) };
        call(args, own.dir.path()).unwrap_or_else(|said| panic!("tests/servers {}: {said}", args.join(" ")))
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            call(&["wipe", "cassandra"], own.dir.path()).map_or_else(|said| eprintln!("{said}"), drop);
        }
    }
}

/// What it printed, or what it complained about.
fn call(args: &[&str], dir: &Path) -> Result<String, String> {
    let mut command = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("servers"));
    let output = or_panic(command.args(args).arg("--dir").arg(dir).output(), "tests/servers");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn or_panic<T>(result: std::io::Result<T>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}
